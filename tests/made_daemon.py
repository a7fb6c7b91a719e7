"""Dagster's sensor daemon in small: the real sensor, evaluated and carried out step by step, and killed between any two of them."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from types import SimpleNamespace

import dagster as dg
import pytest

from assets import automation
from assets.ingest import raw_media
from avrec_dag.definitions import build
from avrec_dag.ledger import Ledger
from avrec_dag.media.uploads import MediaSource
from resources.profiles import Settings


@lru_cache(maxsize=1)
def _definitions() -> dg.Definitions:
    """What requests are checked against; the library is in the resources."""
    return build(Settings().resources())


QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass
class Daemon:
    """What the daemon keeps on its disk, and the runs it launched.

    Attributes:
        settings: Of the library it watches.
        now_s: What the sensor takes for the time.
        ran: (partition, rows computed or failed, rows removed) of every run.
    """

    settings: Settings
    now_s: float
    instance: dg.DagsterInstance = field(default_factory=dg.DagsterInstance.ephemeral)
    cursor: str | None = None
    ran: list[tuple[str, int, int]] = field(default_factory=list)
    told: str = ""
    _launched: set[str] = field(default_factory=set)
    _reserved: list[dg.RunRequest] = field(default_factory=list)

    def tick(self, *, dies_after: int | None = None, passes_s: float = 15.0) -> list[str]:
        """One tick of the sensor; the partitions whose runs it launched, which have ended when it returns.

        As in Dagster (`_daemon/sensor.py`), what was asked for is stored together with the cursor before anything is launched, and a
        tick after a death goes on with that instead of asking the sensor.

        Args:
            dies_after: The daemon is killed after so many launches; before anything is stored if below 0. None: it lives.
            passes_s: Seconds since the last tick.
        """
        self.now_s += passes_s
        if not self._reserved:
            requests, cursor = self._asked()
            if dies_after is not None and dies_after < 0:
                return []
            self._reserved, self.cursor = requests, cursor
        launched = []
        while self._reserved and dies_after != len(launched):
            request = self._reserved[0]
            if request.run_key not in self._launched:
                self._launched.add(request.run_key)
                self._run(request.partition_key)
                launched.append(request.partition_key)
            if dies_after == len(launched):
                return launched  # dead before it noted that this run is launched
            self._reserved.pop(0)
        return launched

    def _asked(self) -> tuple[list[dg.RunRequest], str | None]:
        with (
            pytest.MonkeyPatch.context() as patch,
            dg.build_sensor_context(
                instance=self.instance, cursor=self.cursor, resources=self.settings.resources(), definitions=_definitions()
            ) as context,
        ):
            patch.setattr(automation, "time", SimpleNamespace(time=lambda: self.now_s))
            data = automation.media_arrivals.evaluate_tick(context)
        self.told = data.skip_message or ""
        return list(data.run_requests or ()), data.cursor

    def _run(self, partition: str) -> None:
        done = dg.materialize(
            [raw_media], partition_key=partition, instance=self.instance, resources=self.settings.resources(), run_config=QUIET
        )
        (event,) = done.asset_materializations_for_node("raw_media")
        rows, failed, removed = (event.metadata[f"avrec/{name}"].value for name in ("computed", "failed", "removed"))
        self.ran.append((partition, rows + failed, removed))

    def settle(self) -> int:
        """Tick until nothing happens any more; how many runs that took."""
        before, idle = len(self.ran), 0
        for _ in range(60):
            idle = 0 if self.tick() else idle + 1
            if idle == 2:
                return len(self.ran) - before
        raise AssertionError(f"the sensor finds no end: {self.ran[-5:]}, {self.cursor}")

    def stored(self) -> dict[str, str]:
        """media_id -> day, of everything that has a row."""
        rows = Ledger(self.settings.store).rows("raw_media", None, ["partition"], status=None).to_pylist()
        return {row["media_id"]: row["partition"] for row in rows}

    def forget(self) -> None:
        """Lose the cursor, as `Reset cursor` on Dagster's page does."""
        self.cursor = None

    def waiting(self) -> dict[str, object]:
        """Days that the sensor waits for."""
        return json.loads(self.cursor or '{"waiting": {}}')["waiting"]


@contextmanager
def watching(media: str, store: str, now_s: float, **more: str) -> Iterator[Daemon]:
    """A daemon over a library, which has looked at it until it was at rest."""
    daemon = Daemon(Settings(media=media, store=store, engine="inline", **more), now_s)
    MediaSource(media).check()
    daemon.settle()
    daemon.ran.clear()
    yield daemon
    daemon.instance.dispose()
