import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avrec_dag.items import Item
from avrec_dag.understanding.fusion import BLOCK, MODALITIES, PARENTS, Fuse, joint_of, tokens_of, unit

DIMS = {"video": 1280, "audio": 1024, "text": 512}


def random_unit(seed, dim):
    return unit(np.random.default_rng(seed).standard_normal(dim).astype(np.float32))


def item(key="a.mp4", joint=True, **vectors):
    parents = {
        PARENTS[name]: {"vector": vector.tolist(), "joint": random_unit(9, 512).tolist() if joint else None}
        for name, vector in vectors.items()
    }
    return Item(key, "v1", "2026-01-01", parents)


def fused(**vectors):
    (row,) = Fuse()([item(**vectors)])
    assert row.error is None
    return row


def test_an_item_with_everything_gets_a_unit_vector_of_three_equal_blocks():
    row = fused(**{name: random_unit(i, DIMS[name]) for i, name in enumerate(MODALITIES)})
    vector, tokens = row.values["vector"], row.values["tokens"].reshape(6, BLOCK)
    assert vector.shape == (768,)
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(np.linalg.norm(tokens, axis=1), 1, atol=1e-5)
    assert row.values["modalities"] == ["video", "audio", "text"]


@given(present=st.sets(st.sampled_from(MODALITIES), min_size=1), seed=st.integers(0, 1000))
@settings(deadline=None)
def test_whatever_is_missing_the_vector_is_unit_length_and_the_missing_block_is_zero(present, seed):
    row = fused(**{name: random_unit(seed + i, DIMS[name]) for i, name in enumerate(MODALITIES) if name in present})
    tokens = row.values["tokens"].reshape(6, BLOCK)
    assert np.linalg.norm(row.values["vector"]) == pytest.approx(1, abs=1e-5)
    assert [name for name, token in zip(MODALITIES, tokens[:3], strict=True) if token.any()] == row.values["modalities"]
    assert set(row.values["modalities"]) == present


def test_a_silent_clip_is_compared_with_a_film_by_picture_and_words():
    picture, words = random_unit(1, 1280), random_unit(2, 512)
    film = fused(video=picture, audio=random_unit(3, 1024), text=words).values["vector"]
    silent = fused(video=picture, text=words).values["vector"]
    other = fused(video=random_unit(4, 1280), text=random_unit(5, 512)).values["vector"]
    assert film @ silent == pytest.approx(2 / np.sqrt(6), abs=1e-4)
    assert abs(film @ other) < 0.15


def test_two_items_without_a_common_modality_have_nothing_to_compare():
    assert fused(video=random_unit(1, 1280)).values["vector"] @ fused(text=random_unit(1, 512)).values["vector"] == 0


def test_projection_keeps_near_things_near():
    rng = np.random.default_rng(0)
    centre = rng.standard_normal(1280)
    near = [tokens_of({"video": unit((centre + 0.3 * rng.standard_normal(1280)).astype(np.float32))})[0] for _ in range(10)]
    far = [tokens_of({"video": random_unit(100 + i, 1280)})[0] for i in range(10)]
    assert min(one @ near[0] for one in near) > 0.6 > 0.3 > max(one @ near[0] for one in far)


def test_features_that_are_never_negative_do_not_all_look_alike():
    rng = np.random.default_rng(1)
    mean = rng.gamma(2, 0.2, 1280)
    raw = [unit((mean + rng.gamma(0.3, 0.5, 1280)).astype(np.float32)) for _ in range(20)]
    blocks = [tokens_of({"video": one})[0] for one in raw]
    before = np.mean([one @ other for one in raw for other in raw if one is not other])
    after = np.mean([one @ other for one in blocks for other in blocks if one is not other])
    assert after < before - 0.2


def test_the_same_item_gives_the_same_vector_and_field_twice():
    first, second = (fused(video=random_unit(1, 1280)) for _ in range(2))
    np.testing.assert_array_equal(first.values["vector"], second.values["vector"])
    assert first.fields == second.fields


def test_a_changed_modality_changes_the_field():
    assert fused(video=random_unit(1, 1280)).fields != fused(video=random_unit(2, 1280)).fields


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_an_embedding_that_is_not_finite_fails_the_item_and_names_itself(bad):
    vector = random_unit(1, 1280)
    vector[3] = bad
    (row,) = Fuse()([item(video=vector)])
    assert row.permanent
    assert "frame_embeddings.vector" in row.error


@pytest.mark.parametrize("vector", [np.zeros(1280, np.float32), np.full(1280, 0.5, np.float32), np.empty(0, np.float32)])
def test_an_embedding_without_a_direction_fails_the_item(vector):
    (row,) = Fuse()([item(video=vector)])
    assert row.error is not None
    assert "recompute" in row.error


def test_one_bad_item_leaves_the_rest_of_the_batch_alone():
    bad = np.full(1280, np.nan, np.float32)
    rows = Fuse()([item("bad.mp4", video=bad), item("good.mp4", video=random_unit(1, 1280))])
    assert [row.error is None for row in rows] == [False, True]


def test_the_joint_vector_is_the_weighted_mean_of_those_at_hand():
    video, audio = random_unit(1, 512), random_unit(2, 512)
    joint = joint_of({"video": video, "audio": audio})
    assert joint is not None
    assert np.linalg.norm(joint) == pytest.approx(1, abs=1e-5)
    assert joint @ video > joint @ audio > 0.3
    assert joint_of({}) is None


def test_an_item_without_joint_vectors_is_still_fused():
    (row,) = Fuse()([item(joint=False, video=random_unit(1, 1280))])
    assert row.error is None
    assert row.values["joint"] is None


def test_joint_vectors_of_two_spaces_are_not_mixed():
    with pytest.raises(ValueError, match="different dimensions"):
        joint_of({"video": random_unit(1, 512), "text": random_unit(1, 384)})


def test_a_vector_of_another_size_than_its_encoder_makes_is_refused():
    from avrec_dag.encoders.registry import preset

    changed = item(video=random_unit(1, 64))
    changed.parents["frame_embeddings"]["model"] = preset("packaged").frame.identity
    (row,) = Fuse()([changed])
    assert row.permanent
    assert "has 64 numbers, but" in row.error
