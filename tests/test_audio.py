import io

import numpy as np
import pytest
import soundfile

from avrec_dag import synthetic
from avrec_dag.errors import MediaError
from avrec_dag.media.audio import decode_blocks, decode_mono

RATE = 44100


def tone(hz=440.0, seconds=2.0, rate=RATE, level=0.5):
    return level * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)


def wav(samples, rate=RATE, subtype="PCM_16"):
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format="WAV", subtype=subtype)
    buffer.seek(0)
    return buffer


@pytest.mark.parametrize(
    ("subtype", "step"), [("PCM_U8", 1e-2), ("PCM_16", 1e-4), ("PCM_24", 1e-6), ("PCM_32", 1e-6), ("FLOAT", 1e-6), ("DOUBLE", 1e-6)]
)
def test_every_sample_format_gives_the_same_samples(subtype, step):
    samples = np.stack([tone(), tone(880, level=0.25)], axis=1)
    blocks = list(decode_blocks(wav(samples, subtype=subtype)))
    heard = np.concatenate([block.samples for block in blocks], axis=1)
    assert heard.dtype == np.float32 and heard.shape == samples.T.shape
    assert np.abs(heard - samples.T).max() < step


def test_mono_is_the_mean_of_all_channels_resampled():
    samples = np.stack([tone(level=0.5), tone(level=0.1)], axis=1)
    heard = np.concatenate(list(decode_mono(wav(samples))))
    assert len(heard) == pytest.approx(2 * 16000, abs=40)
    expected = tone(rate=16000, level=0.3)[: len(heard)]
    assert np.abs(heard[500:-500] - expected[500 : len(heard) - 500]).max() < 0.01


@pytest.mark.parametrize("channels", [1, 2, 3, 6, 8, 16])
@pytest.mark.parametrize("rate", [8000, 11025, 48000, 192000])
def test_any_number_of_channels_at_any_rate_is_heard(channels, rate):
    samples = np.tile(tone(rate=rate, seconds=0.5)[:, None], (1, channels))
    (block,) = decode_blocks(wav(samples, rate))
    assert block.samples.shape == (channels, len(samples)) and block.sample_rate_hz == rate
    heard = np.concatenate(list(decode_mono(wav(samples, rate))))
    spectrum = np.abs(np.fft.rfft(heard))
    assert spectrum.argmax() * 16000 / len(heard) == pytest.approx(440, abs=5)


def test_blocks_join_without_seams():
    samples = tone(seconds=13.0)
    blocks = list(decode_blocks(wav(samples)))
    assert len(blocks) == 3
    assert max(block.samples.shape[1] for block in blocks) < 6 * RATE
    heard = np.concatenate(list(decode_mono(wav(samples))))
    assert np.abs(np.diff(heard[200:-200])).max() < 2 * 0.5 * np.pi * 440 / 16000


@pytest.mark.parametrize("suffix", [".mp4", ".mp3", ".ogg", ".webm", ".m4a", ".avi", ".ts", ".wmv", ".mpg"])
def test_lossy_sound_is_close_to_what_was_made(tmp_path, suffix):
    path = synthetic.clip(tmp_path / f"a{suffix}", kind="rings", seed=2, duration_s=2.0, size=(64, 48))
    reference = synthetic.clip(tmp_path / "a.flac", kind="rings", seed=2, duration_s=2.0)
    heard, made = (np.concatenate(list(decode_mono(io.BytesIO(one.read_bytes())))) for one in (path, reference))
    assert len(heard) / 16000 == pytest.approx(2, abs=0.1)
    assert np.sqrt((heard**2).mean()) == pytest.approx(np.sqrt((made**2).mean()), rel=0.1)


def test_samples_that_are_no_numbers_do_not_spread():
    samples = tone()
    samples[100:200] = np.nan
    samples[300] = np.inf
    heard = np.concatenate(list(decode_mono(wav(samples, subtype="FLOAT"))))
    assert np.isfinite(heard).all() and np.abs(heard).max() <= 1


def test_a_damaged_stretch_costs_only_itself(tmp_path):
    path = synthetic.clip(tmp_path / "a.mp3", kind="bars", seed=2, duration_s=4.0)
    data = bytearray(path.read_bytes())
    data[20_000:22_000] = bytes(2000)
    heard = np.concatenate(list(decode_mono(io.BytesIO(bytes(data)))))
    assert len(heard) > 3.5 * 16000


def test_a_film_without_sound_says_so(tmp_path):
    path = synthetic.clip(tmp_path / "a.mp4", kind="bars", seed=2, duration_s=0.2, sound=False)
    with pytest.raises(MediaError, match="no sound"):
        list(decode_mono(io.BytesIO(path.read_bytes())))
