"""The contact sheet: every kept frame of an item at one glance, with its time."""

import math
from collections.abc import Sequence

import numpy as np

_CELL_PX, _COLUMNS, _MARGIN_PX = 192, 8, 4


def contact_sheet(jpegs: Sequence[bytes], t_s: Sequence[float]) -> bytes:
    """A JPEG of all frames in reading order.

    Args:
        jpegs: The frames, all of one size.
        t_s: Their times in seconds, drawn into the lower left corner of each.
    """
    import cv2

    thumbs = [_thumb(jpeg) for jpeg in jpegs]
    height = max(thumb.shape[0] for thumb in thumbs)
    columns = min(_COLUMNS, max(1, math.ceil(math.sqrt(len(thumbs) * 9 / 16))) if len(thumbs) > 3 else len(thumbs))
    rows = math.ceil(len(thumbs) / columns)
    sheet = np.full((rows * (height + _MARGIN_PX) + _MARGIN_PX, columns * (_CELL_PX + _MARGIN_PX) + _MARGIN_PX, 3), 24, np.uint8)
    for place, (thumb, at_s) in enumerate(zip(thumbs, t_s, strict=True)):
        top = _MARGIN_PX + place // columns * (height + _MARGIN_PX)
        left = _MARGIN_PX + place % columns * (_CELL_PX + _MARGIN_PX) + (_CELL_PX - thumb.shape[1]) // 2
        sheet[top : top + thumb.shape[0], left : left + thumb.shape[1]] = thumb
        _write(sheet, clock(at_s), left + 3, top + thumb.shape[0] - 4)
    return cv2.imencode(".jpg", sheet, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes()


def clock(at_s: float) -> str:
    """Seconds as h:mm:ss, or as m:ss.t below a minute."""
    tenths = round(at_s * 10)
    minutes, seconds = divmod(tenths // 10, 60)
    if minutes >= 60:
        return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"
    return f"{minutes}:{seconds:02d}" if minutes else f"0:{seconds:02d}.{tenths % 10}"


def _thumb(jpeg: bytes) -> np.ndarray:
    import cv2

    picture = np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR))
    height, width = picture.shape[:2]
    scale = min(_CELL_PX / width, _CELL_PX / height)
    return cv2.resize(picture, (max(1, round(width * scale)), max(1, round(height * scale))), interpolation=cv2.INTER_AREA)


def _write(sheet: np.ndarray, text: str, x: int, y: int) -> None:
    import cv2

    (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.4, 1)
    cv2.rectangle(sheet, (x - 3, y - height - 3), (x + width + 2, y + 4), (0, 0, 0), cv2.FILLED)
    cv2.putText(sheet, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255, 255, 255), 1, cv2.LINE_AA)
