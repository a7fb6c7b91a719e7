"""Made people with known tastes, for tests and for filling the demo library.

The generative model, in the open, so that nobody takes its figures for real ones:

1. Every person likes one class (60 %) or two (40 %) of the library's classes; nobody else's taste enters.
2. Every item has a popularity that knows nothing of class or quality: the items, shuffled, get Zipf weights 1 / rank ** 0.8.
3. Every person meets about 15 items (Poisson, at least 5, at most a third of the library), none twice. Each meeting comes from their taste
   (55 %: an item of a liked class, drawn by the square root of its popularity), from what is popular (25 %: any item by its popularity)
   or from chance (20 %: any item).
4. An item appeals with probability 0.9 when its class is liked, else 0.15, moved by up to 0.1 up or down by its quality.
5. What appeals is watched long (share from Beta(8, 2)), and then liked (50 %), commented (15 %) or shared (8 %). What does not is watched
   briefly (Beta(1.5, 5)), then skipped (40 %), disliked (12 %) or commented on unkindly (4 %).
6. The meetings fall on random seconds of the days, in random order: there is no trend to exploit.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta

import numpy as np

from avrec_dag.feedback import Event

PRAISE = ("Love this one!", "太好看了！", "More of this, please.", "声音很棒，收藏了。", "Just what I wanted.", "每天都想看一遍")
GRUMBLE = ("Not for me.", "没意思。", "Too long and too loud.", "看不下去了")

MadeItem = tuple[str, str, float]
"""media_id, class ("" when it has none), quality in [0, 1]."""


def tastes(classes: Sequence[str], n_users: int, *, seed: int = 0) -> dict[str, tuple[str, ...]]:
    """The classes that each made person likes: user_id -> one or two of `classes`."""
    rng = np.random.default_rng([seed, 1])
    names = sorted(set(classes) - {""})
    return {
        f"made-user-{number:03d}": tuple(rng.choice(names, size=min(1 + int(rng.random() < 0.4), len(names)), replace=False).tolist())
        for number in range(n_users)
    }


def make_events(
    items: Sequence[MadeItem], *, n_users: int = 60, start: date = date(2026, 1, 1), n_days: int = 14, seed: int = 0, met: float = 15.0
) -> list[Event]:
    """What made people do with a library (see the module for how).

    Args:
        items: The library; at least one item.
        n_users: How many people.
        start: The first day.
        n_days: Over how many days.
        seed: Same seed, same events, event ids included.
        met: How many items a person meets on average.

    Returns:
        The events in time order.
    """
    rng = np.random.default_rng([seed, 2])
    popularity = 1.0 / (1.0 + rng.permutation(len(items))) ** 0.8
    midnight = datetime(start.year, start.month, start.day, tzinfo=UTC)
    events: list[Event] = []
    for user_id, liked in tastes([label for _, label, _ in items], n_users, seed=seed).items():
        in_taste = np.array([label in liked for _, label, _ in items])
        number = int(np.clip(rng.poisson(met), min(5, len(items)), max(5, len(items) // 3)))
        for place in _meetings(rng, popularity, in_taste, min(number, len(items))):
            media_id, _, quality = items[place]
            appeals = rng.random() < (0.9 if in_taste[place] else 0.15) + 0.2 * (quality - 0.5)
            at = midnight + timedelta(seconds=int(rng.integers(0, n_days * 86400 - 600)))
            events += _reactions(rng, user_id, media_id, at, appeals=bool(appeals))
    return sorted(events, key=lambda event: (event.happened_at, event.event_id))


def _meetings(rng: np.random.Generator, popularity: np.ndarray, in_taste: np.ndarray, number: int) -> Iterator[int]:
    left = np.ones(len(popularity), dtype=bool)
    for _ in range(number):
        way = rng.random()
        odds = in_taste * np.sqrt(popularity) if way < 0.55 else popularity if way < 0.8 else np.ones_like(popularity)
        odds = odds * left
        odds = odds if odds.sum() > 0 else left.astype(float)  # nothing of the taste is left
        place = int(rng.choice(len(odds), p=odds / odds.sum()))
        left[place] = False
        yield place


def _reactions(rng: np.random.Generator, user_id: str, media_id: str, at: datetime, *, appeals: bool) -> Iterator[Event]:
    def event(kind: str, after_s: int, **more: object) -> Event:
        facts = {"user_id": user_id, "media_id": media_id, "kind": kind, "happened_at": at + timedelta(seconds=after_s), **more}
        return Event.model_validate(facts)

    yield event("play", 0)
    share = rng.beta(8, 2) if appeals else rng.beta(1.5, 5)
    yield event("watch", 60, value=round(float(share), 3))
    chances = {"like": 0.5, "comment": 0.15, "share": 0.08} if appeals else {"skip": 0.4, "dislike": 0.12, "comment": 0.04}
    for after_s, (kind, chance) in enumerate(chances.items(), start=70):
        if rng.random() < chance:
            yield event(kind, after_s, **({"text": str(rng.choice(PRAISE if appeals else GRUMBLE))} if kind == "comment" else {}))
