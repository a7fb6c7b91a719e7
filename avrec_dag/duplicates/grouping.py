"""From verified pairs to groups: around one canonical item each, so that no chain of copies glues strangers together."""

from collections.abc import Collection, Iterable, Mapping

from avrec_dag.duplicates.candidates import Pair


def around_canonical(pairs: Collection[Pair], rank: Mapping[str, tuple[object, ...]]) -> dict[str, str]:
    """Item -> the canonical item of its group, for items that are in a pair.

    The best-ranked item that has no group yet takes everything without one that was verified against it. So every member was compared
    with its canonical item itself; an item that is a copy of a copy, but not of the canonical item, begins a group of its own.

    Args:
        pairs: Verified.
        rank: Item -> its rank; the least is the best. Ties go to the lesser id.
    """
    beside: dict[str, set[str]] = {}
    for a, b in pairs:
        beside.setdefault(a, set()).add(b)
        beside.setdefault(b, set()).add(a)
    canonical: dict[str, str] = {}
    for best in sorted(beside, key=lambda media_id: (rank[media_id], media_id)):
        if best in canonical:
            continue
        canonical |= dict.fromkeys((one for one in beside[best] if one not in canonical), best)
        canonical[best] = best
    return canonical


def families(links: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Item -> the least id of everything it is linked with, by however many steps (union-find; Tarjan, 1975)."""
    parent: dict[str, str] = {}

    def root(one: str) -> str:
        parent.setdefault(one, one)
        while parent[one] != one:
            parent[one] = parent[parent[one]]
            one = parent[one]
        return one

    for a, b in links:
        first, second = sorted((root(a), root(b)))
        parent[second] = first
    return {one: root(one) for one in parent}
