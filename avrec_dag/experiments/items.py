"""What the library knows of items that were shown."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avrec_dag.recommend.catalogue import Catalogue


@dataclass(frozen=True)
class Catalogued:
    """From the items that can be recommended; of one that has left, nothing is known."""

    catalogue: Catalogue

    def quality(self, media_id: str) -> float | None:
        """In [0, 1]; None where it is not known."""
        row = self.catalogue.index.place.get(media_id)
        return None if row is None else float(self.catalogue.quality[row])

    def vector(self, media_id: str) -> NDArray[np.float32] | None:
        """(d,) unit content vector; None where there is none."""
        return self.catalogue.index.fused_of(media_id) if media_id in self.catalogue.index.place else None


class Unknown:
    """Before there is a recommender."""

    def quality(self, _media_id: str) -> float | None:
        """Not known."""
        return None

    def vector(self, _media_id: str) -> NDArray[np.float32] | None:
        """Not known."""
        return None
