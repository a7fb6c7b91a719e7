"""What the library knows of items that were shown."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avrec_dag.recommend.catalogue import Catalogue


@dataclass(frozen=True)
class Catalogued:
    """From the items that can be recommended; of one that has left, nothing is known.

    Attributes:
        catalogue: Them; None before there is a recommender: then nothing is known of any.
    """

    catalogue: Catalogue | None

    def quality(self, media_id: str) -> float | None:
        """In [0, 1]; None where it is not known."""
        items = self.catalogue
        return float(items.quality[items.index.place[media_id]]) if items and media_id in items.index.place else None

    def vector(self, media_id: str) -> NDArray[np.float32] | None:
        """(d,) unit content vector; None where there is none."""
        items = self.catalogue
        return items.index.fused_of(media_id) if items and media_id in items.index.place else None
