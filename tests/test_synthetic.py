import io

import numpy as np
import pytest

from avrec_dag import synthetic
from avrec_dag.media.audio import decode_mono
from avrec_dag.media.log_mel import log_mel
from avrec_dag.media.probe import probe
from avrec_dag.synthetic.pictures import painter
from avrec_dag.synthetic.sounds import sound


@pytest.mark.parametrize("kind", synthetic.KINDS)
def test_every_kind_is_a_film_with_sound_of_the_length_and_size_asked_for(tmp_path, kind):
    path = synthetic.clip(tmp_path / "a.mp4", kind=kind, seed=3, duration_s=1.2, size=(160, 90))
    with path.open("rb") as file:
        found = probe(file, path.name)
    assert found.kind == "video" and found.video and found.audio
    assert (found.video.width, found.video.height, found.video.fps) == (160, 90, 25)
    assert found.duration_s == pytest.approx(1.2, abs=0.1)


def test_one_seed_gives_one_file_and_another_seed_another(tmp_path):
    first, again, other = (
        synthetic.clip(tmp_path / f"{name}.mkv", kind="dots", seed=seed, duration_s=0.5, size=(96, 64)).read_bytes()
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert first == again
    assert first != other


def test_every_sound_is_audible_and_not_clipped():
    peaks = [np.abs(sound(kind, seed, 1.0, 16000)).max() for kind in synthetic.KINDS for seed in range(4)]
    assert min(peaks) > 0.1
    assert max(peaks) < 1


def _correct_share(features: np.ndarray, n_kinds: int) -> float:
    """Leave-one-out nearest neighbour over features (kinds, seeds, d)."""
    flat = features.reshape(-1, features.shape[-1])
    flat = (flat - flat.mean(0)) / (flat.std(0) + 1e-9)
    far = ((flat[:, None] - flat[None]) ** 2).sum(-1) + np.eye(len(flat)) * 1e9
    seeds = len(flat) // n_kinds
    return float((far.argmin(1) // seeds == np.arange(len(flat)) // seeds).mean())


def test_the_kind_can_be_told_from_the_sound_alone():
    features = [
        [np.r_[levels.mean(0), levels.std(0)] for seed in range(8) for levels in [log_mel(sound(kind, seed, 2.0, 16000))]]
        for kind in synthetic.KINDS
    ]
    assert _correct_share(np.array(features), len(synthetic.KINDS)) > 0.6  # chance is 0.125


def test_the_kind_can_be_told_from_the_picture_but_not_from_its_colours():
    def shape(picture: np.ndarray) -> np.ndarray:
        grey = picture.mean(2)
        grey = (grey - grey.mean()) / (grey.std() + 1e-9)
        spectrum = np.log1p(np.abs(np.fft.fftshift(np.fft.fft2(grey))))
        y, x = np.mgrid[-45:45, -80:80]
        radius, angle = np.hypot(x, y).astype(int), (np.arctan2(y, x) % np.pi * 12 / np.pi).astype(int)
        return np.r_[
            np.bincount(radius.ravel(), spectrum.ravel())[:60] / np.bincount(radius.ravel())[:60],
            np.sort(np.bincount(angle.ravel(), spectrum.ravel()) / np.bincount(angle.ravel()))[:12],
        ]

    pictures = [[painter(kind, seed, (160, 90))(0.4) for seed in range(8)] for kind in synthetic.KINDS]
    shapes = np.array([[shape(picture) for picture in row] for row in pictures])
    colours = np.array([[picture.reshape(-1, 3).mean(0) for picture in row] for row in pictures])
    assert _correct_share(shapes, len(synthetic.KINDS)) > 0.5
    assert _correct_share(colours, len(synthetic.KINDS)) < 0.4


def test_sidecars_tell_the_label_in_english_or_chinese_and_the_kind_only_sometimes():
    written = [synthetic.sidecar("waves", seed) for seed in range(40)]
    assert {one["language"] for one in written} == {"en", "zh"}
    assert all(one["labels"] == ["waves"] for one in written)
    telling = sum(any(word in str(one["title"]) for word in ("wave", "sea", "water", "海", "水")) for one in written)
    assert 10 < telling < 40
    assert "labels" not in synthetic.sidecar("waves", 1, labelled=False)


def test_the_sound_of_a_clip_is_the_sound_of_its_kind(tmp_path):
    path = synthetic.clip(tmp_path / "a.flac", kind="rings", seed=5, duration_s=1.0, sample_rate_hz=16000)
    heard = np.concatenate(list(decode_mono(io.BytesIO(path.read_bytes()))))
    made = sound("rings", 5, 1.0, 16000)
    assert len(heard) == len(made)
    assert np.abs(heard - made).max() < 1e-3
