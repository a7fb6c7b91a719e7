"""The weights of a blend are those of the softmax over all items, though only some candidates are looked at."""

import numpy as np

from avrec_dag.recommend.models import weighing
from avrec_dag.recommend.models.weighing import Examples


def drawn_by(z: np.ndarray, weight: float, rng: np.random.Generator) -> np.ndarray:
    """One item per person, drawn from the softmax of `weight` times its logit."""
    chance = np.exp(weight * z - (weight * z).max(axis=1, keepdims=True))
    bound = rng.random((len(z), 1)) * chance.sum(axis=1, keepdims=True)
    return (chance.cumsum(axis=1) < bound).sum(axis=1).clip(max=z.shape[1] - 1)


def test_the_weight_by_which_items_were_drawn_is_found_though_most_stand_below_the_best():
    rng, n, top = np.random.default_rng(0), 3000, 20
    z = rng.normal(size=(600, n)).astype(np.float32)
    targets = drawn_by(z, 1.5, rng)
    above = (z > np.take_along_axis(z, targets[:, None], axis=1)).sum(axis=1)
    assert (above >= top).mean() > 0.5  # otherwise there is nothing to correct
    columns, open_to = weighing.drawn([z], targets, top=top, at_random=top, rng=rng)
    found = weighing.learn(
        Examples(
            z=np.take_along_axis(z, columns, axis=1)[:, :, None],
            items=weighing.item_features(np.full(n, 20))[columns],
            users=weighing.user_features(np.full(600, 5)),
            open_to=open_to,
            target=np.zeros(600, np.int64),
            importance=np.full(600, 1 / 600),
            offset=weighing.stood_for(open_to, np.full(600, n), top),
        ),
        l2=0.1,
    )
    weight = found.of(np.array([5]), weighing.item_features(np.array([20])))[0, 0, 0]
    assert 1.3 < weight < 1.7


def test_candidates_stand_for_all_that_could_be_recommended_and_for_none_twice():
    open_to = np.array([[True, True, False, True, True, False], [True, True, True, False, False, False]])
    each = np.where(open_to, np.exp(weighing.stood_for(open_to, np.array([13, 3]), 3)), 0)
    np.testing.assert_allclose(each, [[1, 1, 0, 5.5, 5.5, 0], [1, 1, 1, 0, 0, 0]])
