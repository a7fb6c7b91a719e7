"""How much each model counts in a blend, for this item and this person: features, and learning their weights on held-out items.

The weight of component c for item i and person u is linear in what is known of both, `theta[c] . (phi(u) x phi(i))`, and the score is
the sum of weighted standard scores (feature-weighted linear stacking: Sill, Takács, Mackey and Lin 2009, arXiv 0911.0460). theta
maximises the likelihood of the held-out item among candidates (conditional logit: McFadden 1974), which is concave: there is one best.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avrec_dag.recommend.models.base import Interactions

Array = NDArray[np.float32]
COLD_AT = 3.0
"""An item that at most so many people liked is cold; one that so many liked is half cold."""
ITEM_FEATURES = ("1", "coldness", "log support")
USER_FEATURES = ("1", "log length")


def item_features(support: NDArray[np.int64]) -> Array:
    """phi(i): (items,) people who liked each -> (items, 3) float32, each about 1 in size."""
    cold = COLD_AT / (COLD_AT + support)
    return np.stack([np.ones_like(cold), cold, np.log1p(support) / 3.0 - 1.0], axis=1).astype(np.float32)


def user_features(lengths: NDArray[np.int64]) -> Array:
    """phi(u): (users,) items met by each -> (users, 2) float32, each about 1 in size."""
    return np.stack([np.ones(len(lengths)), np.log1p(lengths) / 1.5 - 1.0], axis=1).astype(np.float32)


def standardise(raw: Array, open_to: NDArray[np.bool_], stands_for: Array | None = None) -> tuple[Array, Array]:
    """Shift and scale each row to mean 0 and deviation 1 over the cells that are open.

    Args:
        raw: (rows, n) float32.
        open_to: (rows, n) bool.
        stands_for: (n,) float32: for how many items each column stands, in the mean and the deviation; None: for itself.

    Returns:
        The z scores, and the factor applied to each row (0 where all open cells are equal, and then every z is 0).
    """
    if len(raw) == 1 and stands_for is not None:
        return _standardised(raw[0], open_to[0] * stands_for)
    counted = open_to if stands_for is None else open_to * stands_for
    count = np.maximum(counted.sum(axis=1), 1)
    mean = np.where(open_to, raw * counted, 0).sum(axis=1) / count
    deviation = np.sqrt(np.where(open_to, (raw - mean[:, None]) ** 2 * counted, 0).sum(axis=1) / count)
    # Below float32's resolution the differences are rounding, and stretching them would invent a preference.
    sure = deviation > 1e-6 * np.maximum(np.abs(raw).max(axis=1, initial=0), 1e-30)
    scale = np.divide(1.0, deviation, out=np.zeros_like(deviation), where=sure)
    return ((raw - mean[:, None]) * scale[:, None]).astype(np.float32), scale.astype(np.float32)


def _standardised(raw: Array, counted: Array) -> tuple[Array, Array]:
    """One row by itself, in fewer steps: lists are made one at a time."""
    shares = counted / max(float(counted.sum()), 1.0)
    moved = raw - np.dot(raw.astype(np.float64), shares)
    deviation = float(np.sqrt(np.dot(moved * moved, shares)))
    sure = deviation > 1e-6 * max(float(raw.max(initial=0)), -float(raw.min(initial=0)), 1e-30)
    scale = 1.0 / deviation if sure else 0.0
    return (moved * scale).astype(np.float32)[None, :], np.array([scale], np.float32)


@dataclass(frozen=True)
class Weights:
    """theta.

    Attributes:
        theta: (components, user features, item features) float64.
    """

    theta: NDArray[np.float64]

    def of(self, lengths: NDArray[np.int64], items: Array) -> Array:
        """The weight of each component: (components, users, items) float32; the same for all of somebody without a history.

        Args:
            lengths: (users,) items met by each.
            items: (items, 3) as `item_features` gives them.
        """
        weights = np.asarray(user_features(lengths) @ self.theta.astype(np.float32) @ items.T, np.float32)
        weights[:, lengths == 0] = 1.0  # of whom no example tells
        return weights

    @classmethod
    def even(cls, components: int) -> "Weights":
        """All count alike, whoever and whatever: where nothing can be learned."""
        theta = np.zeros((components, len(USER_FEATURES), len(ITEM_FEATURES)))
        theta[:, 0, 0] = 1.0 / max(components, 1)
        return cls(theta)


@dataclass(frozen=True)
class Parts:
    """What each component adds to the scores of some people.

    Attributes:
        values: Component -> (people, items) float32; they add up to the score.
        factors: Component -> (people, items) float32: by what its raw score is multiplied (a constant per person is taken off besides).
        open_to: (people, items) bool: what each has not met.
    """

    values: Mapping[str, Array]
    factors: Mapping[str, Array]
    open_to: NDArray[np.bool_]


@dataclass(frozen=True)
class Examples:
    """Held-out items among their candidates.

    Attributes:
        z: (people, candidates, components) float32 standard scores.
        items: (people, candidates, item features) float32.
        users: (people, user features) float32.
        open_to: (people, candidates) bool; a candidate that stands twice in a row is open once.
        target: (people,) place of the held-out item among the candidates.
        importance: (people,) float64, summing to 1.
        offset: (people, candidates) float32, added to the logits: the logarithm of for how many items a candidate stands.
    """

    z: Array
    items: Array
    users: Array
    open_to: NDArray[np.bool_]
    target: NDArray[np.int64]
    importance: NDArray[np.float64]
    offset: Array | float = 0.0


def drawn(z: Sequence[Array], targets: NDArray[np.int64], *, top: int, at_random: int, rng: np.random.Generator) -> tuple[NDArray, NDArray]:
    """Candidates of each person: the best of every component, some at random, and the target, which comes first.

    Args:
        z: Per component (people, items) standard scores, -inf where an item cannot be recommended.
        targets: (people,) columns.
        top: So many of each component.
        at_random: So many of any.
        rng: What draws them.

    Returns:
        (people, candidates) int64 columns, and bool, False where a column stands for the second time or cannot be recommended.
    """
    people, n = z[0].shape
    top = min(top, n)
    parts = [targets[:, None], *(np.argpartition(-one, top - 1, axis=1)[:, :top] for one in z), rng.integers(0, n, (people, at_random))]
    columns = np.concatenate(parts, axis=1)
    order = np.argsort(columns, axis=1, kind="stable")
    ordered = np.take_along_axis(columns, order, axis=1)
    again = np.zeros_like(columns, dtype=bool)
    np.put_along_axis(again, order[:, 1:], ordered[:, 1:] == ordered[:, :-1], axis=1)
    return columns, ~again & np.isfinite(np.take_along_axis(z[0], columns, axis=1))


def stood_for(open_to: NDArray[np.bool_], could: NDArray[np.int64], at_random: int) -> Array:
    """The logarithm of for how many items each candidate stands (stratified sampling of the softmax's sum).

    The best of each component stand for themselves, those drawn at random for all others. Without it a held-out item that no component has
    among its best is compared with such alone as were chosen for their high scores, and scores seem to count for nothing.

    Args:
        open_to: (people, candidates) as `drawn` gives it.
        could: (people,) how many items could be recommended.
        at_random: So many of the last candidates were drawn at random.
    """
    random = np.arange(open_to.shape[1]) >= open_to.shape[1] - at_random
    others = could - (open_to & ~random).sum(axis=1)
    each = np.maximum(others, 1) / np.maximum((open_to & random).sum(axis=1), 1)
    return np.where(random, np.log(each)[:, None], 0.0).astype(np.float32)


def learn(examples: Examples, *, l2: float, steps: int = 200) -> Weights:
    """The theta of the highest penalised likelihood, by L-BFGS.

    Args:
        examples: What is to be ranked first among what.
        l2: Penalty on the squares of theta against the log likelihood of one person, so that it fades as people become many; a tenth of
            it on what a component counts for everyone and everything.
        steps: Iterations at most.
    """
    from scipy.optimize import Bounds, minimize  # a third of a second of every command and run

    people, candidates, components = examples.z.shape
    features = examples.items.shape[2]
    crossed = (examples.z[:, :, :, None] * examples.items[:, :, None, :]).reshape(people, candidates, components * features)
    shape = (components, examples.users.shape[1], features)
    chosen = np.arange(people)
    penalty = np.full(shape, l2 * float((examples.importance**2).sum()))
    penalty[:, 0, 0] /= 10

    def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        theta = flat.reshape(shape)
        personal = np.einsum("uf,cfg->ucg", examples.users, theta.astype(np.float32)).reshape(people, -1, 1)
        logits = np.where(examples.open_to, (crossed @ personal)[:, :, 0] + examples.offset, -np.inf)
        logits -= logits.max(axis=1, keepdims=True)
        shares = np.exp(logits)
        total = shares.sum(axis=1, keepdims=True)
        shares /= total
        likelihood = logits[chosen, examples.target] - np.log(total[:, 0])
        shares[chosen, examples.target] -= 1.0
        shares *= examples.importance[:, None]
        towards = (shares[:, None, :].astype(np.float32) @ crossed).reshape(people, components, features)
        gradient = np.einsum("uf,ucg->cfg", examples.users, towards, dtype=np.float64)
        value = -float(examples.importance @ likelihood) + float((penalty * theta**2).sum())
        return value, (gradient + 2 * penalty * theta).ravel()

    # Holding likes out makes what is held out look less popular than it is: few examples would count a component the wrong way round.
    least = np.full(shape, -np.inf)
    least[:, 0, 0] = 0.0
    bounds = Bounds(least.ravel(), np.inf)
    found = minimize(loss, np.zeros(shape).ravel(), jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": steps})
    return Weights(found.x.reshape(shape))


def last_out(data: Interactions, people: int, *, seed: int = 0) -> tuple[Interactions, NDArray[np.int64], NDArray[np.int64]]:
    """Take the newest liked item of some people away, and what they did from then on.

    Args:
        data: Everything.
        people: Of so many at most.
        seed: Who.

    Returns:
        The rest, the (m,) rows of these people, and the (m,) column taken from each.
    """
    rng = np.random.default_rng([seed, 11])
    likes = np.flatnonzero(data.weights > 0)
    rows = data.rows
    counts = np.bincount(rows[likes], minlength=len(data.users))
    last = np.full(len(data.users), -1, np.int64)
    last[rows[likes]] = likes  # of several the last one stays
    able = np.flatnonzero(counts >= 2)
    chosen = np.sort(rng.choice(able, min(len(able), people), replace=False))
    cut = np.full(len(data.users), len(data), np.int64)
    cut[chosen] = last[chosen]
    return data.only(np.arange(len(data)) < cut[rows]), chosen, data.columns[last[chosen]].astype(np.int64)
