"""What models can learn from: labelled items that have features, their classes, and what is left out and why."""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from avrec_dag.ledger import Ledger
from avrec_dag.schema import TABLES
from avrec_dag.understanding.digests import digest
from avrec_dag.understanding.fusion import BLOCK, SLOTS, WIDE, joint_token
from avrec_dag.understanding.splits import groups_of, near_duplicates

LEAST_SOURCES = 2
SEVERAL_SHARE = 0.05
"""From this share of labelled items with several labels on, the library counts as multi-label."""


@dataclass(frozen=True)
class Examples:
    """What a model learns from.

    Attributes:
        media_ids: One per example.
        tokens: float32 (n, 6, 512), as table fused_features has them.
        targets: float32 (n, n_classes), 1 for each of an example's classes, at least one.
        names: The classes.
        groups: What no split separates (`splits.groups_of`), one per example.
        multi_label: Whether an item may have several classes.
        anchors: float32 (n_classes, 512), the classes' names as tokens of the joint space; None where that has no text side here.
        grouping: What the groups stand for, in words.
    """

    media_ids: tuple[str, ...]
    tokens: NDArray[np.float32]
    targets: NDArray[np.float32]
    names: tuple[str, ...]
    groups: tuple[str, ...]
    multi_label: bool = False
    anchors: NDArray[np.float32] | None = None
    grouping: str = "grouped by source"

    @property
    def classes(self) -> NDArray[np.int64]:
        """int64 (n,), the class of each example; with several, the rarest of them, by which splits are stratified."""
        return (self.targets / self.targets.sum(axis=0).clip(1)).argmax(axis=1)

    def part(self, rows: NDArray[np.int64]) -> "Examples":
        """Some of the examples, over the same classes."""
        return Examples(
            tuple(self.media_ids[i] for i in rows), self.tokens[rows], self.targets[rows], self.names,
            tuple(self.groups[i] for i in rows), self.multi_label, self.anchors, self.grouping,
        )  # fmt: skip


@dataclass(frozen=True)
class Labelled:
    """Everything that people's labels and the features say, before anything is trained.

    Attributes:
        names: Every class somebody used, sorted.
        labels: Hash of all labels and sources.
        vectors: Labelled item -> hash of its features (8 hex digits), for items that have them.
        examples: What a model can learn from; None when that is fewer than two classes.
        left_out: Class, or what else was left out -> why.
    """

    names: tuple[str, ...]
    labels: str
    vectors: Mapping[str, str]
    examples: Examples | None
    left_out: Mapping[str, str]


@dataclass(frozen=True)
class _Said:
    """What people said of one item."""

    labels: tuple[str, ...]
    source: str


def gather(ledger: Ledger, encoders: str = "packaged", features: Callable[[set[str]], "Found"] | None = None) -> Labelled:
    """Join labels with features, day by day, so that only the labelled items' tokens are ever in memory together.

    A class is learned when items of at least two sources show it: with one, nothing could be held out, and the class would be that one
    recording. Where at least a twentieth of the items have several labels, all of them count (multi-label); otherwise each item's first.

    Args:
        ledger: The tables.
        encoders: The preset in whose joint space the items are.
        features: Labelled items -> their tokens; by default from fused_features.
    """
    rows = ledger.rows("labels", columns=["labels", "source"]).to_pylist()
    said = {row["media_id"]: _Said(tuple(row["labels"]), row["source"]) for row in rows if row["labels"]}
    hashed = digest(text for media_id in sorted(said) for text in (media_id, *said[media_id].labels, said[media_id].source))
    found = _features(ledger, set(said)) if features is None else features(set(said))
    several = sum(len(one.labels) > 1 for one in said.values())
    multi_label = several >= max(SEVERAL_SHARE * len(said), 1)
    if several and not multi_label:
        said = {media_id: _Said(one.labels[:1], one.source) for media_id, one in said.items()}
    names = tuple(sorted({name for one in said.values() for name in one.labels}))
    sources = defaultdict(set)
    for media_id in found.tokens:
        for name in said[media_id].labels:
            sources[name].add(said[media_id].source)
    kept = tuple(name for name in names if len(sources[name]) >= LEAST_SOURCES)
    left_out = {name: f"{len(sources[name])} source with features, {LEAST_SOURCES} needed" for name in names if name not in kept}
    if several and not multi_label:
        left_out["further labels"] = f"{several} of {len(said)} items have several labels, too few to learn from: their first one counts"
    ids = sorted(media_id for media_id in found.tokens if set(said[media_id].labels) & set(kept))
    examples = _examples(ids, kept, said, found, multi_label) if len(kept) >= 2 else None
    if examples is not None and len(set(examples.groups)) < 2:
        examples = None
    elif examples is not None:
        examples = replace(examples, anchors=anchors_of(kept, found.joint_size, encoders))
    return Labelled(names, hashed, found.hashes, examples, left_out)


@dataclass(frozen=True)
class Found:
    """Features of the wanted items that have them.

    Attributes:
        tokens: Item -> float32 (6 * 512,).
        hashes: Item -> hash of its features.
        creators: Item -> creator, where one is named.
        joint_size: Length of most joint vectors; 0 without any.
        groups: Item -> its group of copies, where it has one.
    """

    tokens: Mapping[str, NDArray[np.float32]]
    hashes: Mapping[str, str]
    creators: Mapping[str, str]
    joint_size: int
    groups: Mapping[str, str]

    def copies(self, ids: Sequence[str]) -> list[tuple[int, int]]:
        """Pairs of positions in `ids` that are copies of one item."""
        return _pairs(ids, self.groups)


def _examples(ids: Sequence[str], kept: Sequence[str], said: Mapping[str, _Said], found: Found, multi_label: bool) -> Examples:
    tokens = np.stack([found.tokens[media_id] for media_id in ids]).reshape(len(ids), len(SLOTS), BLOCK)
    targets = np.zeros((len(ids), len(kept)), np.float32)
    for row, media_id in enumerate(ids):
        targets[row, [kept.index(name) for name in said[media_id].labels if name in kept]] = 1
    first = [int(row.argmax()) for row in targets]
    sources, creators = [said[media_id].source for media_id in ids], [found.creators.get(media_id) for media_id in ids]
    groups, grouping = groups_of(first, sources, creators, [*near_duplicates(tokens[:, 0]), *found.copies(ids)])
    return Examples(tuple(ids), tokens, targets, tuple(kept), groups, multi_label, None, grouping)


def anchors_of(names: Sequence[str], joint_size: int, encoders: str = "packaged") -> NDArray[np.float32] | None:
    """The names of classes as tokens of the joint space, float32 (n, 512); None where the items lie in another space than the preset's.

    Args:
        names: The classes.
        joint_size: Length of the items' joint vectors; 0 where none has one.
        encoders: The preset whose joint space it is.
    """
    from avrec_dag.encoders.joint import JointSpace

    space = JointSpace(encoders)
    if joint_size != space.dim:
        return None
    return np.stack([joint_token(vector) for vector in space.classes([(name,) for name in names])])


def _features(ledger: Ledger, wanted: set[str]) -> Found:
    """Tokens and feature hashes of the wanted items that have them; features that are broken are passed over."""
    tokens, hashes, creators, sizes = {}, {}, {}, Counter[int]()
    for day in ledger.partitions("fused_features") if wanted else ():
        table = ledger.rows("fused_features", day, columns=["fields", "tokens", "joint"])
        creators |= creators_of(ledger, day)
        joint_sizes = [0 if row.values is None else len(row.values) for row in table["joint"]]
        for place, media_id in enumerate(table["media_id"].to_pylist()):
            if media_id not in wanted or (fields := dict(table["fields"][place].as_py())).get("tokens") is None:
                continue
            row = np.asarray(table["tokens"][place].values, np.float32)
            if row.size == WIDE and np.isfinite(row).all() and row.any():
                tokens[media_id], hashes[media_id] = row, fields["tokens"][:8]
                sizes[joint_sizes[place]] += 1
    sizes.pop(0, None)
    return Found(tokens, hashes, creators, sizes.most_common(1)[0][0] if sizes else 0, copy_groups(ledger))


def creators_of(ledger: Ledger, day: str) -> dict[str, str]:
    """Item -> creator, for the day's items that name one."""
    rows = ledger.rows("raw_media", day, ["creator"])
    return {one: name for one, name in zip(rows["media_id"].to_pylist(), rows["creator"].to_pylist(), strict=True) if name}


def known_copies(ledger: Ledger, ids: Sequence[str]) -> list[tuple[int, int]]:
    """Pairs of positions in `ids` that table duplicates knows as copies of one item."""
    return _pairs(ids, copy_groups(ledger))


def copy_groups(ledger: Ledger) -> dict[str, str]:
    """Item -> its group of copies, for items that have one."""
    if "duplicates" not in TABLES:
        return {}
    rows = ledger.rows("duplicates", columns=["group_id"])
    return {one: group for one, group in zip(rows["media_id"].to_pylist(), rows["group_id"].to_pylist(), strict=True) if group}


def _pairs(ids: Sequence[str], groups: Mapping[str, str]) -> list[tuple[int, int]]:
    first: dict[str, int] = {}
    found = ((first.setdefault(groups[one], place), place) for place, one in enumerate(ids) if one in groups)
    return [(one, other) for one, other in found if one != other]


def picture_tokens(ledger: Ledger, ids: Sequence[str]) -> NDArray[np.float32]:
    """What the frame encoder sees in each item as a token, float32 (n, 512); zeros for an item that has no picture or is gone."""
    places, tokens = {one: place for place, one in enumerate(ids)}, np.zeros((len(ids), BLOCK), np.float32)
    for day in ledger.partitions("fused_features"):
        table = ledger.rows("fused_features", day, columns=["tokens"])
        for number, media_id in enumerate(table["media_id"].to_pylist()):
            if media_id in places and len(values := table["tokens"][number].values) == WIDE:
                tokens[places[media_id]] = np.asarray(values[:BLOCK], np.float32)
    return tokens
