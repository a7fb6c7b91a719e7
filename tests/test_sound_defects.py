import io
import re
import subprocess

import imageio_ffmpeg
import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from avrec_dag.media.hum import HumMeter
from avrec_dag.media.spectrograms import hear
from avrec_dag.media.stereo import StereoMeter
from avrec_dag.media.true_peak import TruePeak

RATE = 48000


def tone(hz, seconds=4.0, level=0.1, rate=RATE):
    return level * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)


def music(seconds=4.0, rate=RATE, seed=0):
    """Chords of half a second over noise, float64 (n,)."""
    rng = np.random.default_rng(seed)
    parts = []
    for _ in range(round(seconds * 2)):
        notes = 110 * 2 ** (rng.choice(36, 3, replace=False) / 12)
        parts.append(sum(tone(hz, 0.5, 0.08, rate) for hz in notes) * np.exp(-np.arange(rate // 2) / rate * 3))
    whole = np.concatenate(parts)
    return whole + rng.normal(0, 0.003, len(whole))


def wav(samples, rate=RATE):
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format="WAV", subtype="FLOAT")
    buffer.seek(0)
    return buffer


@pytest.mark.parametrize("rate", [44100, 48000])
@pytest.mark.parametrize("what", ["between the samples", "music", "noise"])
def test_the_true_peak_is_that_of_ffmpegs_meter(tmp_path, rate, what):
    samples = {
        "between the samples": 0.9 * np.sin(np.pi / 2 * np.arange(rate * 2) + np.pi / 4) * np.hanning(rate * 2),
        "music": music(2, rate) * 3,
        "noise": np.random.default_rng(0).normal(0, 0.1, rate * 2),
    }[what]
    soundfile.write(tmp_path / "a.wav", np.stack([samples, samples * 0.5], axis=1), rate, subtype="FLOAT")
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(),
        "-hide_banner",
        "-i",
        str(tmp_path / "a.wav"),
        "-af",
        "ebur128=peak=true",
        "-f",
        "null",
        "-",
    ]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    judged = float(re.findall(r"Peak:\s+(-?[\d.]+) dBFS", told)[-1])
    with (tmp_path / "a.wav").open("rb") as file:
        facts = hear(file).facts
    assert facts.true_peak_dbtp == pytest.approx(judged, abs=0.35)  # BS.1770-4 allows a meter +0.2 and -0.4 dB
    assert facts.true_peak_dbtp >= facts.peak_dbfs


def test_a_sine_whose_samples_miss_its_peak_peaks_3_db_above_them():
    facts = hear(wav(0.5 * np.sin(np.pi / 2 * np.arange(RATE) + np.pi / 4))).facts
    assert facts.true_peak_dbtp - facts.peak_dbfs == pytest.approx(3.01, abs=0.3)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.lists(st.integers(1, 400), min_size=1, max_size=8))
def test_the_true_peak_does_not_depend_on_how_the_sound_comes_in(seed, sizes):
    samples = np.random.default_rng(seed).normal(0, 0.3, (2, sum(sizes))).astype(np.float32)
    whole, parts = TruePeak(2), TruePeak(2)
    whole.add(np.pad(samples, ((0, 0), (0, 12))))
    for end, size in zip(np.cumsum(sizes), sizes, strict=True):
        parts.add(samples[:, end - size : end])
    parts.add(np.zeros((2, 12), np.float32))
    assert parts.peak() == pytest.approx(whole.peak(), rel=1e-5)


@pytest.mark.parametrize("mains", [50, 60])
def test_hum_rises_with_its_level_whatever_plays_above_it(mains):
    found = []
    for level in (0.0, 0.003, 0.01, 0.03, 0.1):
        hum = sum(tone(mains * k, 6, level / k) for k in (1, 2, 3))
        found.append(hear(wav(music(6) + hum)).hum_db)
    assert found[0] < 6
    assert found == sorted(found)
    assert found[-1] > 25


def test_hum_is_told_in_decibels_above_what_lies_beside_it():
    noise = np.random.default_rng(0).normal(0, 0.01, 16000 * 20)
    meter = HumMeter()
    meter.add((noise + sum(tone(50 * k, 20, 0.01, 16000) for k in (1, 2))).astype(np.float32))
    # A line of amplitude a through a Hann window of 1 s: a^2/2. Noise of power p: 1.5 p / 8000 a bin, less 2.5 dB for the mean of logs.
    expected = 10 * np.log10(0.01**2 / 2 / (1.5 * 0.01**2 / 8000)) + 2.5
    assert meter.level_db() == pytest.approx(expected, abs=1.5)


@pytest.mark.parametrize("hz", [50, 100, 123.5, 300])
def test_one_steady_tone_is_not_hum(hz):
    noise = np.random.default_rng(0).normal(0, 0.003, RATE * 4)
    assert hear(wav(noise + tone(hz))).hum_db < 6


def test_hum_that_nobody_can_hear_is_none():
    assert hear(wav(sum(tone(50 * k, level=1e-6) for k in (1, 2, 3)))).hum_db < 1
    assert hear(wav(tone(440, 0.5))).hum_db is None


def test_stereo_facts_of_known_channels():
    one, other = np.random.default_rng(0).normal(0, 0.1, (2, RATE))

    def facts(left, right):
        return hear(wav(np.stack([left, right], axis=1))).stereo

    assert facts(one, one).side_db == -120
    assert facts(one, one + 1e-4 * other).side_db < -60
    assert facts(one, other).side_db == pytest.approx(0, abs=0.2)
    assert facts(one, -one).stereo_correlation == pytest.approx(-1)
    assert facts(one, one * 0.1).balance_db == pytest.approx(20, abs=0.01)
    assert facts(one, 0 * one).balance_db == 120
    assert facts(one, 0 * one).stereo_correlation == 0


@pytest.mark.parametrize("samples", [np.zeros((2, 4800), np.float32), np.ones((1, 4800), np.float32), np.zeros((2, 0), np.float32)])
def test_what_is_not_stereo_has_no_stereo_facts(samples):
    meter = StereoMeter()
    meter.add(samples)
    assert set(meter.facts().__slots__) == {"side_db", "balance_db", "stereo_correlation"}
    assert meter.facts().side_db is meter.facts().balance_db is meter.facts().stereo_correlation is None


def test_silence_at_the_ends_is_told_in_seconds():
    facts = hear(wav(np.concatenate([np.zeros(RATE), tone(440, 2), np.zeros(RATE * 3)]))).facts
    assert (facts.lead_silence_s, facts.trail_silence_s) == pytest.approx((1, 3), abs=0.1)
    silent = hear(wav(np.zeros(RATE * 2))).facts
    assert (silent.lead_silence_s, silent.trail_silence_s) == (2, 2)


@pytest.mark.parametrize("channels", [1, 2, 6, 64])
@pytest.mark.parametrize("length", [0, 1, 11, 12, 13])
def test_the_shortest_blocks_of_any_channels_are_measured(channels, length):
    block = np.full((channels, length), 0.5, np.float32)
    peak, stereo, hum = TruePeak(channels), StereoMeter(), HumMeter()
    for _ in range(3):
        peak.add(block)
        stereo.add(block)
        hum.add(block[0])
    assert peak.peak() == 0 if not length else 0.5 <= peak.peak() < 1
    assert hum.level_db() is None
    assert (stereo.facts().side_db is None) == (channels == 1 or not length)


@pytest.mark.parametrize("rate", [8000, 11025, 96000])
def test_a_mono_voice_of_any_rate_has_no_sides_and_finite_facts(rate):
    found = hear(wav(tone(300, 2.0, rate=rate), rate), "a.wav")
    assert (found.stereo.side_db, found.stereo.balance_db, found.stereo.stereo_correlation) == (None, None, None)
    assert found.hum_db is not None and found.hum_db < 3
    assert found.facts.true_peak_dbtp == pytest.approx(-20, abs=0.2)
