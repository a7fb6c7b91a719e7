# ruff: noqa: TID253
"""EfficientNet-Lite0 as a torch module that takes raw pictures; imported only to export it, or to run it on a graphics card."""

import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from efficientnet_lite_pytorch import EfficientNet
from numpy.typing import NDArray
from torch import nn

from avrec_dag.encoders.base import Matrix

SIDE_PX = 224


class Lite0(nn.Module):
    """Pictures in, pooled features and class scores out; the network's own preparation of pictures is inside.

    Attributes:
        net: The pretrained network.
    """

    def __init__(self, weights: Path) -> None:
        super().__init__()
        self.net: Any = EfficientNet.from_name("efficientnet-lite0")
        self.net.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
        self.eval()

    def forward(self, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """uint8 (n, 224, 224, 3) RGB -> float32 (n, 1280), float32 (n, 1000)."""
        x = (pictures.permute(0, 3, 1, 2).float() - 127.0) / 128.0
        features = self.net.extract_features(x).mean(dim=(2, 3))
        return features, self.net._fc(features)


def forward(weights: Path, device: str) -> Callable[[NDArray[np.uint8]], tuple[Matrix, Matrix]]:
    """The network on one device; mixed precision (bfloat16 where the card has it, else float16) on a graphics card."""
    module: Any = Lite0(weights).to(device)
    module.to(memory_format=torch.channels_last)
    cuda = device.startswith("cuda")
    dtype = torch.bfloat16 if cuda and torch.cuda.is_bf16_supported() else torch.float16

    def run(pictures: NDArray[np.uint8]) -> tuple[Matrix, Matrix]:
        with torch.inference_mode(), torch.autocast("cuda", dtype=dtype, enabled=cuda):
            features, scores = module(torch.from_numpy(pictures).to(device))
        return features.float().cpu().numpy(), scores.float().cpu().numpy()

    return run


def onnx_bytes(weights: Path) -> bytes:
    """The network as an ONNX file with a free batch size; its outputs are those of the module, within 1e-5."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # The newer exporter needs onnxscript and gives a slower graph; this one warns that it is the older one.
        warnings.simplefilter("ignore")
        file = Path(folder) / "network.onnx"
        torch.onnx.export(
            Lite0(weights),
            (torch.zeros(2, SIDE_PX, SIDE_PX, 3, dtype=torch.uint8),),
            file,
            input_names=["pictures"],
            output_names=["features", "scores"],
            dynamic_axes={name: {0: "n"} for name in ("pictures", "features", "scores")},
            opset_version=17,
            dynamo=False,
        )
        return file.read_bytes()
