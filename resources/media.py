"""The uploads."""

from bisect import bisect_left
from collections.abc import Sequence
from functools import cached_property
from operator import attrgetter

import dagster as dg

from avrec_dag.media.listing import Level, Upload
from avrec_dag.media.notices import Notices
from avrec_dag.media.sampling import Sampling
from avrec_dag.media.uploads import MediaSource


class Snapshot(MediaSource):
    """The uploads as one listing found them: each folder is listed once, however often it is asked for."""

    @cached_property
    def _listed(self) -> dict[str, list[Upload]]:
        return {}

    def list(self, folders: Sequence[str] = ("",)) -> list[Upload]:
        """As `MediaSource.list`, as the first call found them."""
        for folder in folders:
            if folder not in self._listed:
                whole = self._listed.get("")
                self._listed[folder] = super().list([folder]) if whole is None else _below(whole, folder)
        return sorted((upload for folder in folders for upload in self._listed[folder]), key=attrgetter("key"))

    @cached_property
    def _levels(self) -> dict[str, Level]:
        return {}

    def level(self, folder: str) -> Level:
        """As `MediaSource.level`, as the first call found it."""
        if folder not in self._levels:
            self._levels[folder] = super().level(folder)
        return self._levels[folder]


def _below(whole: Sequence[Upload], folder: str) -> list[Upload]:
    """Those of a sorted listing that lie in a folder."""
    after = folder[:-1] + chr(ord("/") + 1)
    first, last = (bisect_left(whole, bound, key=attrgetter("key")) for bound in (folder, after))
    return list(whole[first:last])


class Media(dg.ConfigurableResource):
    """The uploads, and how densely their frames are looked at.

    Attributes:
        uri: A folder or `s3://bucket/prefix`.
        guard: Share of a day's items that may vanish at once; above it nothing is removed and the run fails.
        queue: URL of an SQS queue that the bucket notifies; empty: there is none.
        relist_s: Every day is listed once in so many seconds; today and yesterday always are.
        frames_per_second: See `media.sampling.Sampling`, as are the next four.
    """

    uri: str
    guard: float = 0.5
    queue: str = ""
    relist_s: float = 600.0
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

    @property
    def notices(self) -> Notices:
        """What the bucket says happened."""
        return Notices(self.queue, self.uri)
