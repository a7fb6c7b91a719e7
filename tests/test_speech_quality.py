"""How good speech sounds: DNSMOS as its authors run it, only where somebody speaks, and nothing at all without the extra."""

import importlib.util
import pickle

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from avrec_dag.encoders import events
from avrec_dag.encoders.packaged import dnsmos
from avrec_dag.encoders.packaged.dnsmos import WINDOW, Opinion
from avrec_dag.errors import SettingError
from avrec_dag.items import Item
from avrec_dag.media.spectrograms import hear, heard_facts
from avrec_dag.quality.speech import MOST_WINDOWS, speech_mos, spoken, windows, worth_judging
from avrec_dag.quality.technical import MeasureQuality
from avrec_dag.steps import Recipe, graph

RATE = 16000
NEEDS_WEIGHTS = pytest.mark.skipif(dnsmos.chosen("auto") is None, reason="needs the extra dnsmos")
VOWELS = ((730, 1090, 2440), (270, 2290, 3010), (570, 840, 2410), (530, 1840, 2480), (300, 870, 2240))
JUDGED = {0.0: (3.0836, 3.9244, 2.8120, 2.7878), 0.003: (3.1403, 2.8989, 2.3802, 2.8265), 0.1: (2.9231, 1.5292, 1.5896, 2.2352)}
"""Noise -> SIG, BAK, OVRL, P.808 that speechmos 0.0.1.1 with librosa 0.11.0 gives `noised` of that level."""


def voice(seconds: float) -> np.ndarray:
    """Vowels in syllables of a quarter of a second, by additive synthesis: the detector takes them for speech."""
    t = np.arange(round(seconds * RATE)) / RATE
    pitch_hz = 115 * (1 + 0.12 * np.sin(2 * np.pi * 0.7 * t) + 0.03 * np.sin(2 * np.pi * 3.1 * t))
    phase, syllable = 2 * np.pi * np.cumsum(pitch_hz) / RATE, (t * 4).astype(int)
    formants_hz = np.array(VOWELS)[syllable * 7 % 5]
    whole = np.zeros(len(t))
    for k in range(1, 40):
        shapes = zip(formants_hz.T, (1, 0.5, 0.25), (80, 100, 140), strict=True)
        gain = sum(level / (1 + ((k * pitch_hz - hz) / width) ** 2) for hz, level, width in shapes)
        whole += gain * np.sin(k * phase) / k**0.5
    loud = np.sin(np.pi * (t * 4 % 1)) ** 0.7 * (syllable % 9 < 7)
    return (0.2 * whole * loud / np.abs(whole).max() * 3).clip(-1, 1).astype(np.float32)


def noised(samples: np.ndarray, level: float) -> np.ndarray:
    return (samples + level * np.random.default_rng(0).normal(0, 1, len(samples))).clip(-1, 1).astype(np.float32)


@pytest.fixture(scope="module")
def spoken_window() -> np.ndarray:
    return voice(WINDOW / RATE)


@NEEDS_WEIGHTS
@pytest.mark.parametrize("level", JUDGED)
def test_the_opinion_is_that_of_the_authors_own_code(spoken_window, level):
    found = dnsmos.opinion(noised(spoken_window, level))
    assert (found.signal, found.background, found.overall, found.p808) == pytest.approx(JUDGED[level], abs=2e-3)


@NEEDS_WEIGHTS
@pytest.mark.skipif(importlib.util.find_spec("librosa") is None, reason="speechmos itself needs librosa, which nothing else here does")
def test_the_opinion_is_that_of_speechmos_on_this_machine(spoken_window):
    from speechmos import dnsmos as theirs

    found, told = dnsmos.opinion(spoken_window), theirs.run(spoken_window, RATE)
    names = ("sig_mos", "bak_mos", "ovrl_mos", "p808_mos")
    assert (found.signal, found.background, found.overall, found.p808) == pytest.approx([float(told[name]) for name in names], abs=2e-3)


@NEEDS_WEIGHTS
def test_the_more_noise_the_lower_the_opinion(spoken_window):
    found = [dnsmos.opinion(noised(spoken_window, level)).mos for level in (0, 0.001, 0.01, 0.03, 0.1)]
    assert found == sorted(found, reverse=True)
    assert found[0] - found[-1] > 0.5


@NEEDS_WEIGHTS
def test_a_short_sound_is_repeated_and_of_a_long_one_the_beginning_counts(spoken_window):
    short = spoken_window[: 4 * RATE]
    assert dnsmos.opinion(short) == dnsmos.opinion(np.tile(short, 3)[:WINDOW])
    assert dnsmos.opinion(np.concatenate([spoken_window, spoken_window * 0.1])) == dnsmos.opinion(spoken_window)


@NEEDS_WEIGHTS
@pytest.mark.parametrize("samples", [np.zeros(WINDOW), np.ones(1), np.full(WINDOW, -1.0)], ids=["silence", "one sample", "level"])
def test_what_is_no_speech_still_gives_numbers(samples):
    found = dnsmos.opinion(samples.astype(np.float32))
    assert all(np.isfinite(one) for one in (found.signal, found.background, found.overall, found.p808, found.mos))


def test_bands_are_slaneys():
    matrix = dnsmos.mel_matrix()
    assert matrix.shape == (161, 120)
    # 1 kHz is 15 mel and 8 kHz 45.245, so that the 39th of 120 bands is at 39 / 121 of them, 14.583 mel, 972.2 Hz; bins are 49.84 Hz apart.
    assert np.argmax(matrix[:, 38]) in (19, 20)
    edges_hz = dnsmos._hz(np.linspace(0, 15 + np.log(8) / (np.log(6.4) / 27), 122))
    assert edges_hz[39] == pytest.approx(972.2, abs=0.1)
    assert edges_hz[-1] == pytest.approx(8000)
    heights = 2 / (edges_hz[2:] - edges_hz[:-2])
    assert np.all(matrix.max(axis=0) <= heights * 1.0001)
    assert matrix.max() == pytest.approx(0.0400931, abs=1e-6)  # librosa.filters.mel(sr=16000, n_fft=321, n_mels=120).max()


@given(st.lists(st.integers(0, 3 * WINDOW), max_size=6))
@settings(max_examples=40, deadline=None)
def test_windows_cover_a_sound_whatever_its_blocks(lengths):
    whole = np.arange(sum(lengths), dtype=np.float32)
    found = list(windows(np.split(whole, np.cumsum(lengths)[:-1]) if lengths else []))
    assert all(len(window) == WINDOW for _, window in found) or len(whole) < WINDOW
    for start_s, window in found:
        at = round(start_s * RATE)
        assert np.array_equal(window, whole[at : at + len(window)])
    assert len(found) == -(-len(whole) // WINDOW)


def test_of_a_long_sound_a_few_windows_are_judged_from_all_over_it():
    def detect(window):
        return [(0.0, 9.0)] if window[0] % 2 else []

    made = [(9.01 * i, np.full(WINDOW, i, np.float32)) for i in range(400)]
    asked = iter(made)
    found = [int(window[0]) for window in spoken(asked, 3604.0, detect)]
    assert found == [1, 67, 135, 201, 267, 335]
    assert len(found) == MOST_WINDOWS
    assert next(asked)[1][0] == 336  # what comes after the last one is not even decoded


def test_windows_with_little_speech_are_passed_over():
    quiet, full = np.zeros(WINDOW, np.float32), np.ones(WINDOW, np.float32)
    said = {0.0: [(1.0, 3.5)], 1.0: [(0.0, 2.0), (4.0, 6.0)]}
    assert [w[0] for w in spoken([(0.0, quiet), (9.01, full)], 18.0, lambda w: said[float(w[0])])] == [1]


SPEECH = {"speech_share": 0.8, "music_share": 0.0, "duration_s": 9.0}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, True),
        ({"speech_share": 0.2}, False),
        ({"speech_share": None}, False),
        ({"speech_share": float("nan")}, False),
        ({"music_share": 0.9}, False),
        ({"music_share": None}, True),
        ({"duration_s": 2.0}, False),
        ({"duration_s": None}, False),
    ],
)
def test_only_speech_without_music_is_worth_judging(changed, expected):
    assert worth_judging(SPEECH | changed) is expected
    assert not worth_judging({})


def sounds(folder, name, samples, rate=RATE):
    soundfile.write(folder / name, samples, rate, subtype="PCM_16")
    with (folder / name).open("rb") as file:
        heard = heard_facts(hear(file, name))
    return Item(name, "v", "2026-01-01", {"raw_media": {"kind": "audio", "duration_s": len(samples) / rate}, "audio_spectrograms": heard})


def told(row):
    assert row.error is None
    return {one["name"]: one for one in row.values["signals"]}


@NEEDS_WEIGHTS
def test_noise_under_speech_lowers_the_score_of_the_item(tmp_path, spoken_window):
    clean, noisy = (sounds(tmp_path, f"{level}.wav", noised(spoken_window, level)) for level in (0, 0.03))
    first, second = MeasureQuality(str(tmp_path), "packaged")([clean, noisy])
    good, bad = told(first)["speech_quality"], told(second)["speech_quality"]
    assert (good["unit"], good["score"]) == ("MOS", pytest.approx(0.8, abs=0.05))
    assert bad["score"] < 0.5
    assert bad["reason"].startswith("speech hard to listen to (speech quality 2.")
    (unjudged,) = MeasureQuality(str(tmp_path), "off")([noisy])
    assert "speech_quality" not in told(unjudged)
    assert second.values["sound_score"] < unjudged.values["sound_score"]


@NEEDS_WEIGHTS
def test_what_nobody_says_costs_no_second_decoding(tmp_path, monkeypatch):
    monkeypatch.setattr(dnsmos, "opinion", lambda _: pytest.fail("nobody speaks"))
    noise = sounds(tmp_path, "noise.wav", np.random.default_rng(0).normal(0, 0.1, 5 * RATE))
    (tmp_path / "noise.wav").unlink()
    (row,) = MeasureQuality(str(tmp_path), "packaged")([noise])
    assert "speech_quality" not in told(row)


def test_speech_that_the_second_look_does_not_find_is_not_judged(tmp_path):
    sounds(tmp_path, "a.wav", np.zeros(5 * RATE))
    with (tmp_path / "a.wav").open("rb") as file:
        assert speech_mos(file, 5.0, judge=lambda _: pytest.fail("nobody speaks"), detect=lambda _: []) is None


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (44100, 2), (16000, 8)])
def test_any_rate_and_any_channels_become_one_voice(tmp_path, rate, channels):
    t = np.arange(rate * 4) / rate
    soundfile.write(tmp_path / "a.wav", np.stack([0.1 * np.sin(2 * np.pi * 300 * t)] * channels, axis=1), rate)
    lengths = []

    def judge(window):
        lengths.append(len(window))
        return Opinion(3, 3, 3.2, 3.0)

    with (tmp_path / "a.wav").open("rb") as file:
        assert speech_mos(file, 4.0, judge=judge, detect=lambda w: [(0, len(w) / RATE)]) == pytest.approx(3.1)
    assert lengths == [pytest.approx(4 * RATE, abs=50)]


def test_without_the_extra_nothing_changes(monkeypatch):
    recipe = Recipe("f", "a", "e", "t", "s")
    assert graph(recipe)["technical_quality"].code == "6"
    monkeypatch.setattr(dnsmos, "located", lambda *_: None)
    assert dnsmos.chosen("auto") is dnsmos.chosen("off") is None
    with pytest.raises(SettingError, match=r"pip install speechmos.*AVREC_DNSMOS=off"):
        dnsmos.chosen("packaged")


@pytest.mark.parametrize("setting", ["loud", "hub:", ""])
def test_an_unknown_judge_is_refused_with_what_there_is(setting):
    with pytest.raises(SettingError, match="AVREC_DNSMOS"):
        dnsmos.chosen(setting)


@NEEDS_WEIGHTS
def test_the_judge_enters_the_version_of_technical_quality_alone(monkeypatch):
    from resources.profiles import Settings

    on, off = (graph(Settings.from_env({"AVREC_DNSMOS": setting}).recipe()) for setting in ("packaged", "off"))
    assert [name for name in on if on[name] != off[name]] == ["technical_quality"]
    assert dnsmos.SPEC.identity in on["technical_quality"].code
    assert Settings.from_env({"AVREC_DNSMOS": "off"}).resources()["compute"].dnsmos == "off"


def test_the_digest_is_that_of_both_files():
    import hashlib

    assert hashlib.sha256((dnsmos.P835[2] + dnsmos.P808[2]).encode()).hexdigest() == dnsmos.SPEC.digest


def test_the_task_travels_to_workers():
    assert pickle.loads(pickle.dumps(MeasureQuality("m", "packaged"))) == MeasureQuality("m", "packaged")


def test_the_made_voice_is_speech_to_the_detector(spoken_window):
    assert sum(end - start for start, end in events.speech(spoken_window)) > 4
