"""What stands on the screen of every item: lines read from some of its frames, each with the seconds in which it stands there."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from functools import cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from avrec_dag.encoders.base import EncoderSpec, Picture
from avrec_dag.encoders.embed import frames_at
from avrec_dag.encoders.packaged import screen
from avrec_dag.encoders.packaged.screen import Line, PaddleReader, worth_keeping
from avrec_dag.encoders.recognition import OFF
from avrec_dag.encoders.weights import located
from avrec_dag.errors import SettingError
from avrec_dag.items import Item, Row
from avrec_dag.media.sampling import Sampling
from avrec_dag.storage import Blobs

MOST_FRAMES = 16
"""Read of one item: a frame costs about as much as 25 frames of `frame_embeddings`."""
LEAST_CONFIDENCE = 0.8
ALIKE = 0.8
"""Lines whose letters agree so far are one line, read twice (difflib's ratio)."""
MOST_LINES = 100
"""Of one frame."""
_THUMB, _CHANGE = 48, 24


class Reader(Protocol):
    """Finds lines of text in pictures. Cheap to construct: weights load on first use, once per process."""

    spec: EncoderSpec

    def read(self, picture: Picture) -> list[Line]:
        """Lines of an RGB picture uint8 (h, w, 3)."""
        ...


def chosen(setting: str) -> EncoderSpec | None:
    """The reader that a setting means, without loading it; None where nothing is to be read.

    Args:
        setting: `off` or `packaged`.

    Raises:
        SettingError: There is no such reader, or it is not installed.
    """
    if setting == OFF:
        return None
    if setting != "packaged":
        raise SettingError(f"AVREC_SCREEN_TEXT={setting!r} names no reader of text; use off or packaged")
    if not all(located(*weights[:2]) for weights in (screen.DETECTOR, screen.RECOGNISER)):
        raise SettingError(f"AVREC_SCREEN_TEXT=packaged needs what is not installed; install it with `{screen.INSTALL}`")
    return PaddleReader.spec


@cache
def load(setting: str) -> Reader:
    """The reader of a setting, one per process; errors as in `chosen`."""
    if chosen(setting) is None:
        raise SettingError("AVREC_SCREEN_TEXT=off means no reader of text; set packaged")
    return PaddleReader()


@dataclass(frozen=True)
class Shown:
    """A line that stood on the screen.

    Attributes:
        line: As it was read most surely.
        start_s: Time of the first frame that shows it.
        end_s: Time of the next frame looked at that does not, or the end of the item.
    """

    line: Line
    start_s: float
    end_s: float


@dataclass(frozen=True)
class ReadScreen:
    """Task of screen_text: reads at most `MOST_FRAMES` frames of an item, some of each shot.

    Attributes:
        store_uri: Where the frames' blobs are.
        reader: Which reader, as in `chosen`.
    """

    store_uri: str
    reader: str = "packaged"

    def __call__(self, items: Sequence[Item]) -> list[Row]:
        """One row per item; its field `text` is the hash of the lines and their times, absent where nothing is to be read."""
        return [self._row(item) for item in items]

    def _row(self, item: Item) -> Row:
        told: Any = item.parents["frames"]
        duration_s = float(item.parents.get("raw_media", {}).get("duration_s") or 0)  # type: ignore[arg-type]
        places = Sampling(cap=MOST_FRAMES).choose(told["shot"], duration_s)
        reader, blobs = load(self.reader), Blobs(self.store_uri)
        pictures = frames_at(blobs, told["blob"], places)
        found, n_read = lines_of(zip((told["t_s"][place] for place in places), pictures, strict=True), duration_s, reader)
        lines = [
            {
                "text": one.line.text, "confidence": round(one.line.confidence, 4), "start_s": one.start_s, "end_s": one.end_s,
                **dict(zip(("left", "top", "right", "bottom"), (round(side, 4) for side in one.line.box), strict=True)),
            }
            for one in found
        ]  # fmt: skip
        values = {
            "text": "\n".join(one.line.text for one in found), "lines": lines, "n_frames": len(places), "n_read": n_read,
            "model": reader.spec.identity,
        }  # fmt: skip
        return item.done({"text": hashlib.sha256(json.dumps(lines).encode()).hexdigest()} if lines else {}, values)


def lines_of(frames: Iterable[tuple[float, Picture]], duration_s: float, reader: Reader) -> tuple[list[Shown], int]:
    """The different lines in frames, in the order in which they appear, and how many frames had to be read.

    A frame that hardly differs from the one before it is taken to say the same; a line that comes back is told of once.

    Args:
        frames: Seconds and pictures, ascending.
        duration_s: Of the item.
        reader: Reads them.
    """
    shown: list[Shown] = []
    standing: set[int] = set()
    gone: set[int] = set()
    before: NDArray[np.int16] | None = None
    lines, n_read = [], 0
    for at_s, picture in frames:
        thumb = _thumb(picture)
        if before is None or np.abs(thumb - before).max() > _CHANGE:
            lines, n_read = worth_keeping(reader.read(picture), LEAST_CONFIDENCE), n_read + 1
        before = thumb
        now = {_noted(shown, line, at_s) for line in lines[:MOST_LINES]}
        for place in standing - now - gone:
            shown[place] = replace(shown[place], end_s=at_s)
        gone |= standing - now
        standing = now
    for place in standing - gone:
        shown[place] = replace(shown[place], end_s=max(shown[place].start_s, duration_s))
    return shown, n_read


def _noted(shown: list[Shown], line: Line, at_s: float) -> int:
    """The place of a line among those shown so far; a new one is added, a better reading replaces a worse one."""
    told = line.text.casefold().replace(" ", "")
    for place, one in enumerate(shown):
        known = one.line.text.casefold().replace(" ", "")
        if told == known or SequenceMatcher(None, told, known).ratio() >= ALIKE:
            if line.confidence > one.line.confidence:
                shown[place] = replace(one, line=line)
            return place
    shown.append(Shown(line, at_s, at_s))
    return len(shown) - 1


def _thumb(picture: Picture) -> NDArray[np.int16]:
    """Grey, so small that noise is gone and so large that a changed subtitle is not."""
    import cv2

    return cv2.resize(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), (_THUMB, _THUMB), interpolation=cv2.INTER_AREA).astype(np.int16)
