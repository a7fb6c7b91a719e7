"""Tasks that worker processes can import: pure, hostile, slow."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from avrec_dag.items import Item, Row

CALLS = {"loads": 0}


@dataclass(frozen=True)
class WhoAmI:
    """Says which process computed an item, how often that process loaded its model, and with how many threads."""

    def __call__(self, items: Sequence[Item]) -> list[Row]:
        if not CALLS["loads"]:
            CALLS["loads"] += 1
        threads = os.environ.get("OMP_NUM_THREADS", "unset")
        return [item.done({"frames": item.key}, {"n_frames": os.getpid(), "width": CALLS["loads"], "method": threads}) for item in items]


@dataclass(frozen=True)
class Unhurried(WhoAmI):
    """As `WhoAmI`, and each item takes a while."""

    def __call__(self, items: Sequence[Item]) -> list[Row]:
        time.sleep(0.1 * len(items))
        return super().__call__(items)


@dataclass(frozen=True)
class Forgetful:
    """Answers for every item but one."""

    forgotten: str

    def __call__(self, items: Sequence[Item]) -> list[Row]:
        return [item.done({}, {}) for item in items if item.key != self.forgotten]


@dataclass(frozen=True)
class WhichCards:
    """Says which cards the process may see and which process it is; the item `kills` kills it."""

    on_card: bool = True

    def __call__(self, items: Sequence[Item]) -> list[Row]:
        time.sleep(0.1)
        if any(item.key == "kills" for item in items):
            os._exit(1)
        return [item.done({"frames": f"{os.environ.get('CUDA_VISIBLE_DEVICES', 'all')} {os.getpid()}"}, {}) for item in items]


@dataclass(frozen=True)
class CardsElsewhere:
    """As `WhichCards`, for cards that only some processes have."""

    @property
    def on_card(self) -> bool:
        return "CUDA_VISIBLE_DEVICES" in os.environ

    def __call__(self, items: Sequence[Item]) -> list[Row]:
        return WhichCards()(items)


@dataclass(frozen=True)
class Slow:
    """Says that it started, then takes longer than any test waits."""

    folder: str

    def __call__(self, items: Sequence[Item]) -> list[Row]:
        Path(self.folder, str(os.getpid())).touch()
        time.sleep(600)
        return [item.done({}, {}) for item in items]


def batches(keys: Sequence[str], size: int = 4) -> list[list[Item]]:
    items = [Item(key, f"v {key}", "all") for key in keys]
    return [items[i : i + size] for i in range(0, len(items), size)]
