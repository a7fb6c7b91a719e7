"""The sequence model: a causal transformer over what a person liked, in order."""

import hashlib
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from avrec_dag.errors import ModelError
from avrec_dag.recommend.models.base import Files, Interactions
from avrec_dag.recommend.models.files import Stored, pack, unpack
from avrec_dag.recommend.models.histories import checked, chosen
from avrec_dag.recommend.models.sequence_settings import SequenceSettings
from avrec_dag.recommend.models.sequence_windows import Watched, held_back, liked, watched, windows

if TYPE_CHECKING:
    from avrec_dag.recommend.models.sequence_members import Members
    from avrec_dag.recommend.models.sequence_network import Shape

_MOST = 1_000_000
"""Epochs and numbers in a content vector that a file may speak of."""
_SUPPORT, _USERS, _LEARNED, _EPOCHS = "support", "users", "learned", "epochs"


class Sequence:
    """What somebody will want next, told from the order of what they liked.

    Scores are logits: the inner product of the state at the end of a history and an item's vector, averaged over the members. Nobody's
    history is stored: of each user a hash and the number of events learned, so that learning on knows what is new.

    Args:
        settings: See `SequenceSettings`.

    Attributes:
        items: Ids it was fitted on.
        support: (items,) int64, people who liked each.
        epochs: How many epochs `tune` found best for each member; empty before.
    """

    name: ClassVar[str] = "sequence"
    source: ClassVar[str] = (
        "SASRec (Kang and McAuley, ICDM 2018) with the filter of BSARec (Shin et al., AAAI 2024) and softmax over all or many sampled "
        "items (Klenitskiy and Vasilev, RecSys 2023)"
    )

    def __init__(self, settings: SequenceSettings | None = None) -> None:
        self.settings = settings or SequenceSettings()
        self.items: tuple[str, ...] = ()
        self.support = np.zeros(0, np.int64)
        self.epochs: tuple[int, ...] = ()
        self._members: Members | None = None
        self._known = (np.zeros(0, np.int64), np.zeros(0, np.int32))

    def fit(self, data: Interactions, *, seed: int = 0) -> None:
        """Learn anew; for as many epochs as `tune` found best, or until held-out last items are told no better."""
        data, watch = liked(checked(data)), None
        counts = data.weights
        if not self.epochs:
            watch, held = held_back(data, self.settings.watch_share, self.settings.watch, seed)
            counts = np.where(held, 0, counts).astype(np.float32)
        self._begin(data, seed)
        self._train(data, counts, self.epochs or self._most(self.settings.epochs), watch, seed)

    def tune(self, train: Interactions, valid: Interactions, *, seed: int = 0) -> None:
        """Learn anew from `train`, for as many epochs as tell `valid` best; a later `fit` trains for that many."""
        train = liked(checked(train))
        watch = watched(train, liked(checked(valid)), self.settings.watch, seed)
        self._begin(train, seed)
        self.epochs = self._train(train, train.weights, self._most(self.settings.epochs), watch, seed)

    def fit_partial(self, data: Interactions, *, seed: int = 0) -> None:
        """Learn on from the weights there are: the events beyond those learned, and as many histories again, lest they be forgotten.

        A new item begins as what its content says, with a vector of its own that is zero. Events of a known user are new from the
        number of those learned onwards; one that turns up late, in the midst of a history, is read but not learned.
        """
        if self._members is None:
            return self.fit(data, seed=seed)
        data = liked(checked(data))
        new = np.arange(len(data)) - data.indptr[data.rows] >= self._learned(data.users)[data.rows]
        rng = np.random.default_rng([seed, 9])
        changed = np.bincount(data.rows[new], minlength=len(data.users)) > 0
        again = rng.permutation(np.flatnonzero(~changed & (np.diff(data.indptr) > 1)))[: int(changed.sum() * self.settings.replay)]
        read = np.isin(data.rows, again) | new
        self._grow(self._members, data)
        self._train(data, np.where(read, data.weights, 0).astype(np.float32), self._most(self.settings.warm_epochs), None, seed)
        return None

    def score(self, histories: Interactions, candidates: NDArray[np.int64] | None = None) -> NDArray[np.float32]:
        """See `Model.score`; who liked nothing yet gets the logarithm of how many people liked each item."""
        histories = liked(checked(histories, self.items))
        popular = chosen(np.log1p(self.support).astype(np.float32)[None], candidates)
        if self._members is None:
            return np.repeat(popular, len(histories.users), axis=0)
        scores = self._members.scores(histories, candidates)
        scores[np.diff(histories.indptr) == 0] = popular
        return scores

    def _begin(self, data: Interactions, seed: int) -> None:
        """Networks that know nothing, over these items."""
        from avrec_dag.recommend.models.sequence_members import Members

        self._members = Members.begun(self._shape(len(data.items), _content(data)), self.settings, seed)
        self._known = (np.zeros(0, np.int64), np.zeros(0, np.int32))

    def _grow(self, members: "Members", data: Interactions) -> None:
        """The same networks over more items."""
        shape, content = members.shape, _content(data)
        if content != shape.content or len(data.items) < shape.items:
            raise ModelError(
                f"learning on with the sequence model: it knows {shape.items} items with content vectors of length {shape.content}, "
                f"and was given {len(data.items)} of length {content}; fit it anew"
            )
        self._members = members.grown(self._shape(len(data.items), content))

    def _shape(self, items: int, content: int) -> "Shape":
        from avrec_dag.recommend.models.sequence_network import Shape

        s = self.settings
        return Shape(items, content, s.width, s.layers, s.heads, s.window, s.kernel)

    def _most(self, epochs: int) -> tuple[int, ...]:
        return (epochs,) * self.settings.members

    def _train(
        self, data: Interactions, counts: NDArray[np.float32], epochs: tuple[int, ...], watch: Watched | None, seed: int
    ) -> tuple[int, ...]:
        """Train on what counts, and keep what scoring and learning on need; returns the epochs of each member."""
        assert self._members is not None
        self.items, self.support = data.items, data.support()
        self._known = _remembered(data)
        return self._members.train(windows(data, self.settings.window, counts), self.support, data.vectors, epochs, watch, seed)

    def _learned(self, users: tuple[str, ...]) -> NDArray[np.int64]:
        """(users,) how many events of each were learned."""
        known, learned = self._known
        if not len(known):
            return np.zeros(len(users), np.int64)
        hashes = _hashes(users)
        at = np.searchsorted(known, hashes).clip(max=len(known) - 1)
        return np.where(known[at] == hashes, learned[at], 0).astype(np.int64)

    def save(self) -> Files:
        """model.safetensors and model.json."""
        users, learned = self._known
        arrays = {_SUPPORT: self.support, _USERS: users, _LEARNED: learned, _EPOCHS: np.array(self.epochs, np.int64)} | (
            self._members.arrays() if self._members else {}
        )
        members, content = (len(self._members.networks), self._members.shape.content) if self._members else (0, 0)
        return pack(self.name, self.settings, self.items, arrays, content=content, members=members)

    @classmethod
    def load(cls, files: Files) -> Self:
        """The inverse of `save`.

        Raises:
            ModelError: The files are damaged, or another model's.
        """
        stored = unpack(files, cls.name)
        model = cls(stored.settings(SequenceSettings))
        content, members = (_count(stored, key) for key in ("content", "members"))
        model.epochs = tuple(stored.array(_EPOCHS, np.int64, (None,)).tolist())
        model.items = stored.items
        model.support = stored.array(_SUPPORT, np.int64, (len(stored.items),))
        users = stored.array(_USERS, np.int64, (None,))
        model._known = users, stored.array(_LEARNED, np.int32, (len(users),))
        if members:
            from avrec_dag.recommend.models.sequence_members import Members

            shape = model._shape(len(stored.items), content)
            model._members = Members.read(shape, model.settings, members, lambda key, size: stored.array(key, np.float32, size))
        return model


def _content(data: Interactions) -> int:
    return 0 if data.vectors is None else data.vectors.shape[1]


def _count(stored: Stored, key: str) -> int:
    found = stored.facts.get(key)
    if type(found) is not int or not 0 <= found <= _MOST:
        raise stored.refused(f"its {key} is {found!r}")
    return found


def _hashes(users: tuple[str, ...]) -> NDArray[np.int64]:
    """(users,) a number for each id, the same everywhere."""
    digests = (hashlib.blake2b(user.encode("utf-8", "surrogatepass"), digest_size=8).digest() for user in users)
    return np.frombuffer(b"".join(digests), dtype="<i8").astype(np.int64)


def _remembered(data: Interactions) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Hashes of users, ascending, and how many events each had."""
    hashes = _hashes(data.users)
    order = np.argsort(hashes, kind="stable")
    return hashes[order], np.diff(data.indptr)[order].astype(np.int32)
