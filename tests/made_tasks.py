"""Tasks that worker processes can import: pure, hostile, slow."""

import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from avrec_dag.items import DecodesUploads, Item, Row

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


@dataclass(frozen=True)
class Attacked(DecodesUploads):
    """Does to its process what the item is called, as a decoder might; leaves a mark for every item that it begins."""

    folder: str

    def size_bytes(self, item: Item) -> int:
        return 100_000_000 if item.key.startswith("large") else 0

    def __call__(self, items: Sequence[Item]) -> list[Row]:
        for item in items:
            with Path(self.folder, item.key).open("ab") as file:
                file.write(b".")
            ATTACKS.get(item.key.partition(" ")[0], lambda _: None)(self.folder)
        return [item.done({}, {"n_frames": os.getpid()}) for item in items]


HELD: list[bytearray] = []


def _spin(_: str) -> None:
    while True:
        pass


def _open(_: str) -> None:
    with ExitStack() as held:
        for _ in range(1000):
            held.enter_context(Path(os.devnull).open("rb"))


def _cycle(_: str) -> None:
    held: list[object] = [bytearray(80_000_000)]
    held.append(held)  # as a decoder and its streams hold one another


ATTACKS: dict[str, Callable[[str], object]] = {
    "sleeps": lambda _: time.sleep(600),
    "spins": _spin,
    "large": lambda _: time.sleep(1.3),
    "hoards": lambda _: bytearray(400_000_000),
    "keeps": lambda _: HELD.append(bytearray(80_000_000)),
    "drops": _cycle,
    "writes": lambda folder: Path(folder, "written").write_bytes(bytes(3_000_000)),
    "opens": _open,
    "crashes": lambda _: os.kill(os.getpid(), signal.SIGSEGV),
    "killed": lambda _: os.kill(os.getpid(), signal.SIGKILL),
    "leaves": lambda _: os._exit(3),
}


@dataclass(frozen=True)
class KilledOnce:
    """The first process that comes to the item `k02` is killed, as by an administrator."""

    folder: str

    def __call__(self, items: Sequence[Item]) -> list[Row]:
        mark = Path(self.folder, "killed")
        if any(item.key == "k02" for item in items) and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return [item.done({}, {}) for item in items]


def batches(keys: Sequence[str], size: int = 4) -> list[list[Item]]:
    items = [Item(key, f"v {key}", "all") for key in keys]
    return [items[i : i + size] for i in range(0, len(items), size)]
