"""Decoded frames as small upright pictures."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from avrec_dag.media.orientation import orientation

if TYPE_CHECKING:
    import av
    from av.video.reformatter import VideoReformatter


@dataclass
class Painter:
    """Turns decoded frames of one stream into small upright RGB pictures.

    Attributes:
        stream: Tells the shape of a pixel.
        long_side_px: Pictures are scaled down to this, never up.
        reformatter: Kept from frame to frame, since setting one up costs as much as using it.
    """

    stream: "av.VideoStream"
    long_side_px: int
    reformatter: "VideoReformatter | None" = None

    def picture(self, frame: "av.VideoFrame") -> NDArray[np.uint8]:
        """RGB uint8 (h, w, 3): upright, in square pixels, one field of an interlaced frame."""
        from av.video.reformatter import VideoReformatter

        self.reformatter = self.reformatter or VideoReformatter()
        aspect = float(self.stream.sample_aspect_ratio or 1)
        full_width = frame.width * (aspect if 0.125 <= aspect <= 8 else 1)
        scale = min(1.0, self.long_side_px / max(full_width, frame.height))
        width, height = max(1, round(full_width * scale)), max(1, round(frame.height * scale))
        one_field = frame.interlaced_frame and frame.height >= 2 * 8
        small = self.reformatter.reformat(frame, width, frame.height if one_field else height, "rgb24", interpolation="AREA")
        rgb = cast("NDArray[np.uint8]", small.to_ndarray())
        if one_field:  # both fields together would show everything that moves as a comb
            import cv2

            rgb = cast("NDArray[np.uint8]", cv2.resize(rgb[::2], (width, height), interpolation=cv2.INTER_AREA))
        return orientation(frame).shown(rgb)
