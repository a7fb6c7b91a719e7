"""How coarsely a film was quantised by its last encoder, as its decoder tells: the strongest single cause of coding loss."""

from typing import TYPE_CHECKING, cast

import numpy as np

if TYPE_CHECKING:
    import av
    from av.buffer import Buffer

OPTIONS = {"export_side_data": "venc_params"}
"""Options of a decoder that is to tell; set before it is opened."""

_H264, _MPEG = 1, 2
_HEADER = 72


def step(frame: "av.VideoFrame") -> float | None:
    """Mean quantiser step over a decoded frame's blocks, in levels of 255; None where the codec does not tell (HEVC, VP9, AV1).

    FFmpeg's `AVVideoEncParams`, exported by its decoders of H.264 and of MPEG-1, 2 and 4. In H.264 the step doubles with
    every 6 of the quantisation parameter and is 1 at 4 (ITU-T H.264, 8.5.9). As a predictor of what is seen, the
    quantiser is the core of the bitstream models of ITU-T P.1203.1 and P.1204.3.
    """
    data = frame.side_data.get("VIDEO_ENC_PARAMS")
    raw = bytes(cast("Buffer", data)) if data is not None else b""
    if len(raw) < _HEADER:
        return None
    n_blocks = int(np.frombuffer(raw, "<u4", 1)[0])
    offset, size = (int(value) for value in np.frombuffer(raw, "<u8", 2, 8))
    kind, base = (int(value) for value in np.frombuffer(raw, "<i4", 2, 24))
    if kind not in (_H264, _MPEG) or not n_blocks or size < 20 or offset + n_blocks * size > len(raw):
        return None
    blocks = np.frombuffer(raw, np.uint8, n_blocks * size, offset).reshape(n_blocks, size)
    levels = base + blocks[:, 16:20].copy().view("<i4").ravel().astype(np.float64)
    if kind == _MPEG:
        return float(levels.mean())
    extra_bits = max(frame.format.components[0].bits - 8, 0)
    return float(np.exp2((levels - 6 * extra_bits - 4) / 6).mean())
