"""Text in pictures, English and Chinese, by PP-OCR."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from avrec_dag.encoders.base import EncoderSpec, Picture
from avrec_dag.encoders.weights import verified

if TYPE_CHECKING:
    from rapidocr import RapidOCR

INSTALL = "pip install 'rapidocr>=3.10,<4'"
DETECTOR = (
    "rapidocr", "models/PP-OCRv6_det_small.onnx", "090f04abcd9d9a7498bc4ebf677e4cb9bdce1fe4197ddb7e529f1ef44e1ff94f", INSTALL,
)  # fmt: skip
RECOGNISER = (
    "rapidocr", "models/PP-OCRv6_rec_small.onnx", "6f327246b50388f3c176ae304bd95767ea6dc0c9ae92153ef8cbe210b3c14884", INSTALL,
)  # fmt: skip
_LONG_SIDE_PX = 960


@dataclass(frozen=True)
class Line:
    """One line of text in a picture.

    Attributes:
        text: What it says.
        confidence: How sure the reader is, in [0, 1].
        box: Left, top, right, bottom as shares of the picture, in [0, 1].
    """

    text: str
    confidence: float
    box: tuple[float, float, float, float]


class PaddleReader:
    """PP-OCR (Du et al., "PP-OCR: A Practical Ultra Lightweight OCR System", 2020), sixth version, small, by RapidOCR; Apache-2.0.

    Lines are taken to stand upright: turning each would double the time, and text on screen does.
    """

    spec = EncoderSpec("pp-ocr-v6-small", "screen", 0, RECOGNISER[2], "rapidocr", INSTALL)
    device = "cpu"

    def read(self, picture: Picture) -> list[Line]:
        """Lines of an RGB picture uint8 (h, w, 3), from top to bottom."""
        height, width = picture.shape[:2]
        found: Any = self._reader(np.ascontiguousarray(picture[..., ::-1]))
        if found.boxes is None or found.txts is None or found.scores is None:
            return []
        boxes = np.asarray(found.boxes, np.float64) / (width, height)
        low, high = boxes.min(axis=1).clip(0, 1), boxes.max(axis=1).clip(0, 1)
        return [
            Line(str(text), float(score), (float(a[0]), float(a[1]), float(b[0]), float(b[1])))
            for text, score, a, b in zip(found.txts, found.scores, low, high, strict=True)
        ]

    @cached_property
    def _reader(self) -> "RapidOCR":
        # A path that is given is never downloaded.
        models = {"Det.model_path": str(verified(*DETECTOR)), "Rec.model_path": str(verified(*RECOGNISER))}
        from rapidocr import RapidOCR

        threads = int(os.environ.get("OMP_NUM_THREADS", "0")) or os.cpu_count() or 1
        return RapidOCR(
            params={
                **models,
                "Global.use_cls": False,
                "Global.log_level": "error",
                "Det.limit_type": "max",
                "Det.limit_side_len": _LONG_SIDE_PX,
                "EngineConfig.onnxruntime.intra_op_num_threads": threads,
                "EngineConfig.onnxruntime.inter_op_num_threads": 1,
            }
        )


def worth_keeping(lines: Sequence[Line], least_confidence: float) -> list[Line]:
    """Lines that are read surely and say something: a word of two letters, or one Chinese, Japanese or Korean character."""
    return [
        line
        for line in lines
        if line.confidence >= least_confidence and (sum(c.isalnum() for c in line.text) >= 2 or any(c > "\u3040" for c in line.text))
    ]
