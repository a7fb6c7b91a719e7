"""The uploads."""

from functools import cached_property

import dagster as dg

from avrec_dag.media.sampling import Sampling
from avrec_dag.media.uploads import MediaSource, Upload


class Snapshot(MediaSource):
    """The uploads as one listing found them: listed once, however often it is asked."""

    @cached_property
    def _listing(self) -> list[Upload]:
        return super().list()

    def list(self) -> list[Upload]:
        """Every upload, as the first call found them."""
        return self._listing


class Media(dg.ConfigurableResource):
    """The uploads, and how densely their frames are looked at.

    Attributes:
        uri: A folder or `s3://bucket/prefix`.
        guard: Share of a day's items that may vanish at once; above it nothing is removed and the run fails.
        frames_per_second: See `media.sampling.Sampling`, as are the next four.
    """

    uri: str
    guard: float = 0.5
    frames_per_second: float = Sampling().per_second
    frames_per_shot: int = Sampling().per_shot
    frames_cap: int = Sampling().cap
    frames_long_side_px: int = Sampling().long_side_px
    frames_jpeg_quality: int = Sampling().jpeg_quality

    @property
    def sampling(self) -> Sampling:
        """Which frames of an item are kept."""
        return Sampling(self.frames_per_second, self.frames_per_shot, self.frames_cap, self.frames_long_side_px, self.frames_jpeg_quality)

    def snapshot(self) -> Snapshot:
        """The uploads as they are now."""
        return Snapshot(self.uri)
