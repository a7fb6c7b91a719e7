"""The newest view of the library: loaded and warmed beside the one that serves, and put in its place all at once."""

import gc
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import numpy as np

from avrec_dag.errors import AvrecError
from avrec_dag.ledger import Ledger
from avrec_dag.serving.view import TABLES, Loaded

if TYPE_CHECKING:
    from avrec_dag.recommend.live import Recommender

_LOG = logging.getLogger(__name__)
LOOK_EVERY_S, LOOK_FAR_EVERY_S = 0.5, 5.0
"""How often the ledger is looked at: in a folder, where that is a listing, and on S3, where it is requests."""
_NAMED = {"model": "recommender", "index": "item_index", "features": "fused_features"}
_USED: ContextVar[list[Loaded] | None] = ContextVar("used", default=None)


@contextmanager
def noted() -> Iterator[list[Loaded]]:
    """The views that answer within the block, in this task and the threads it asks."""
    used: list[Loaded] = []
    token = _USED.set(used)
    try:
        yield used
    finally:
        _USED.reset(token)


class Newest:
    """The view that serves; one thread looks whether the ledger has moved on.

    Args:
        ledger: Whose.
        load: What makes a view's recommender and media of the ledger.
    """

    def __init__(self, ledger: Ledger, load: Callable[[], tuple["Recommender", Mapping[str, Mapping[str, Any]]]]) -> None:
        self._ledger, self._load = ledger, load
        self._loading, self._stopped = threading.Lock(), threading.Event()
        self._loaded: Loaded | None = None
        self._thread: threading.Thread | None = None
        self._marks: tuple[str, ...] = ()
        self.loads, self.why = 0, "the library is being loaded"

    @property
    def ready(self) -> bool:
        """Whether an answer waits for nothing."""
        return self._loaded is not None

    @property
    def loaded(self) -> Loaded | None:
        """The view that serves, if there is one yet."""
        return self._loaded

    @property
    def items(self) -> int:
        """How many uploads can be read."""
        return len(self._loaded.media) if self._loaded else self._ledger.counts("raw_media").ok

    def start(self) -> None:
        """Load, and then look at the ledger every `LOOK_EVERY_S`, in a thread of its own."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._watch, name="newest", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Stop looking."""
        self._stopped.set()
        gc.unfreeze()

    def current(self) -> Loaded:
        """The newest view; the first one is loaded by whoever asks first.

        Raises:
            AvrecError: There is nothing to serve yet.
        """
        found = self._loaded or self.look()
        used = _USED.get()
        if used is not None:
            used.append(found)
        return found

    def look(self) -> Loaded:
        """Load what the ledger says, where that is not what serves."""
        with self._loading:
            marks_now = tuple(self._ledger.mark(table) for table in TABLES)
            if self._loaded is not None and marks_now == self._marks:
                return self._loaded
            version = tuple(self._ledger.data_version(table) for table in TABLES)
            if self._loaded is None or version != self._loaded.version:
                found = Loaded(version, *self._load(), self._versions(version))
                found.warm()
                self._loaded, self.loads = found, self.loads + 1
            self._marks = marks_now
            return self._loaded

    def _watch(self) -> None:
        every_s, seen = LOOK_FAR_EVERY_S if "://" in self._ledger.uri else LOOK_EVERY_S, 0
        while not self._stopped.is_set():
            try:
                self.look()
            except (AvrecError, OSError) as error:
                self.why = str(error)
                _LOG.warning("the library cannot be read anew (%s); what was read before serves on", error)
            except Exception:  # a view that cannot be made must not end the looking
                self.why = "the library cannot be read: see the service's log"
                _LOG.exception("the library cannot be read anew; what was read before serves on")
            if self.loads != seen and not self._stopped.is_set():
                seen = self.loads
                _keep_out_of_collections()
            self._stopped.wait(every_s)

    def _versions(self, version: tuple[str, ...]) -> dict[str, dict[str, str]]:
        found = {}
        for part, table in _NAMED.items():
            rows = self._ledger.rows(table, columns=["version", "run_id", "written_ns"])
            newest = int(np.argmax(rows["written_ns"].to_numpy())) if rows.num_rows else -1
            run = str(rows["run_id"][newest].as_py() or "") if newest >= 0 else ""
            whole = version[TABLES.index(table)] if rows.num_rows != 1 else str(rows["version"][0].as_py())
            found[part] = {"version": whole, "run": run}
        return found


def _keep_out_of_collections() -> None:
    """Python's collector would look at every object of a view again and again, and stop all answers for a tenth of a second each time."""
    gc.unfreeze()  # what the view before it left behind
    gc.collect()
    gc.freeze()
