"""The task of moderation: a score for every item that has a picture, with the moment that earned it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from avrec_dag.encoders import devices
from avrec_dag.encoders.embed import frames_at
from avrec_dag.items import Item, Row
from avrec_dag.media.sampling import Sampling
from avrec_dag.moderation.classifiers import identity, scorer
from avrec_dag.storage import Blobs
from avrec_dag.understanding.digests import digest

MOST_FRAMES = 16
"""Frames looked at, one of every shot first."""


@dataclass(frozen=True)
class ScoreModeration:
    """Task of moderation.

    An item's score is that of its worst frame: one such second is enough to matter, and of sixteen frames any quantile below the last
    would pass over exactly that second. What is wrongly high is for the reviewers, who see the moment.

    Attributes:
        store_uri: Where the frames are.
        setting: Which model, as in `classifiers.identity`.
    """

    store_uri: str
    setting: str

    @property
    def on_card(self) -> bool:
        """Whether it computes on a graphics card; the packaged model runs on the processor."""
        return self.setting.startswith("hub:") and devices.cards() > 0

    def __call__(self, items: Sequence[Item]) -> list[Row]:
        """One row per item; its field `score` is the hash of model and rounded scores."""
        return [self._row(item) for item in items]

    def _row(self, item: Item) -> Row:
        told = item.parents["frames"]
        t_s: list[float] = list(told["t_s"])  # type: ignore[call-overload]
        chosen = Sampling(per_second=1, per_shot=1, cap=MOST_FRAMES).choose(list(told["shot"]), t_s[-1])  # type: ignore[call-overload]
        pictures = list(frames_at(Blobs(self.store_uri), str(told["blob"]), chosen))
        scores = np.clip(scorer(self.setting).scores(pictures), 0, 1).astype(np.float64)
        if not np.isfinite(scores).all():
            return item.failed("the moderation model gave no number for a frame; look at the item, or choose another AVREC_MODERATION")
        worst = int(scores.argmax())
        model = identity(self.setting)
        values = {
            "score": float(scores[worst]),
            "worst_s": t_s[chosen[worst]],
            "scores": scores.tolist(),
            "t_s": [t_s[place] for place in chosen],
            "frame": chosen[worst],
            "model": model,
        }
        return item.done({"score": digest([model, *(f"{score:.4f}" for score in scores)])}, values)
