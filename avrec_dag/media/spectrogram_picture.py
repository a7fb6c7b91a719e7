"""A spectrogram for people: time from left to right, pitch upwards, with both axes written."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from avrec_dag.media.log_mel import FLOOR_DB, HOP, SAMPLE_RATE_HZ, band_centres_hz
from avrec_dag.media.sheet import clock

_WIDTH_PX, _BAND_PX = 900, 4
_LEFT_PX, _BOTTOM_PX, _TOP_PX, _RIGHT_PX = 62, 30, 10, 14
_TOP_DB = 40.0


def spectrogram_png(levels_db: NDArray[np.float16]) -> bytes:
    """A PNG of a log-mel spectrogram.

    Args:
        levels_db: (n, 64), one row for every 10 ms; columns of the picture are means over time.
    """
    import cv2

    edges = np.linspace(0, len(levels_db), min(_WIDTH_PX, max(len(levels_db), 1)) + 1).astype(int)
    columns = np.stack([levels_db[a : max(b, a + 1)].astype(np.float32).mean(axis=0) for a, b in pairwise(edges)])
    grey = np.clip((columns.T[::-1] - FLOOR_DB) / (_TOP_DB - FLOOR_DB) * 255, 0, 255).astype(np.uint8)
    plot = cv2.resize(cv2.applyColorMap(grey, cv2.COLORMAP_MAGMA), (_WIDTH_PX, grey.shape[0] * _BAND_PX), interpolation=cv2.INTER_NEAREST)
    height = plot.shape[0]
    picture = np.full((height + _TOP_PX + _BOTTOM_PX, _WIDTH_PX + _LEFT_PX + _RIGHT_PX, 3), 255, np.uint8)
    picture[_TOP_PX : _TOP_PX + height, _LEFT_PX : _LEFT_PX + _WIDTH_PX] = plot
    _time_axis(picture, _TOP_PX + height, len(levels_db) * HOP / SAMPLE_RATE_HZ)
    _pitch_axis(picture, height)
    return cv2.imencode(".png", picture)[1].tobytes()


def _time_axis(picture: NDArray[np.uint8], bottom: int, duration_s: float) -> None:
    for tick in range(7):
        x = _LEFT_PX + tick * (_WIDTH_PX - 1) // 6
        picture[bottom : bottom + 5, x] = 0
        _write(picture, clock(duration_s * tick / 6), x - 16 - 10 * (tick == 6), bottom + 20)


def _pitch_axis(picture: NDArray[np.uint8], height: int) -> None:
    centres = band_centres_hz()
    for hz in (250, 500, 1000, 2000, 4000):
        y = _TOP_PX + height - round((float(np.interp(hz, centres, np.arange(len(centres)))) + 0.5) * _BAND_PX)
        picture[y, _LEFT_PX - 5 : _LEFT_PX] = 0
        _write(picture, f"{hz} Hz", 2, y + 4)


def _write(picture: NDArray[np.uint8], text: str, x: int, y: int) -> None:
    import cv2

    cv2.putText(picture, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.38, (40, 40, 40), 1, cv2.LINE_AA)
