"""What moderation costs and whom it would hold wrongly: `python bench/moderation.py [--limit 0] [--json]`.

The packaged model scores photographs in which nothing is unfit (the stamps of `bench/stamp_clips.py`, on white): every one that the
default policy holds or blocks is held wrongly. No offensive picture is used, so that nothing is said about what it finds; for that see
the model's own publication. Processor time is that of one thread, preparation and network apart.
"""

import argparse
import json
import os
import platform
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import stamp_clips
from numpy.typing import NDArray

from avrec_dag.moderation.classifiers import OpenNsfw, identity, prepared
from avrec_dag.moderation.policy import Policy
from avrec_dag.moderation.scoring import MOST_FRAMES

LONG_SIDE_PX = 512


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limit", type=int, default=0, help="so many stamps, evenly over the classes; 0: all")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    pictures = [on_white(stamp) for stamp in stamp_clips.stamps(options.limit)]
    model, policy = OpenNsfw(), Policy()
    model.scores(pictures[:2])  # loads the weights
    began = time.process_time()
    for picture in pictures:
        prepared(picture)
    prepare_ms = 1000 * (time.process_time() - began) / len(pictures)
    began = time.process_time()
    scores = np.concatenate([model.scores(pictures[start : start + MOST_FRAMES]) for start in range(0, len(pictures), MOST_FRAMES)])
    whole_ms = 1000 * (time.process_time() - began) / len(pictures)
    told = {
        "model": identity("packaged"), "python": platform.python_version(), "pictures": len(pictures), "policy": policy.canonical(),
        "frame_ms": whole_ms, "of_it_preparation_ms": prepare_ms, "item_of_16_frames_s": MOST_FRAMES * whole_ms / 1000,
        "highest": float(scores.max()), "quantiles_50_90_99": np.quantile(scores, [0.5, 0.9, 0.99]).tolist(),
        "held_wrongly": int((scores >= policy.hold).sum()), "blocked_wrongly": int((scores >= policy.block).sum()),
    }  # fmt: skip
    print(json.dumps(told, indent=2)) if options.json else [print(f"{name.replace('_', ' '):24} {value}") for name, value in told.items()]


def on_white(stamp: stamp_clips.Stamp) -> NDArray[np.uint8]:
    """The photograph, RGB uint8, at most as large as a kept frame."""
    from PIL import Image

    picture = Image.open(stamp.picture).convert("RGBA")
    whole = Image.new("RGBA", picture.size, "white")
    whole.alpha_composite(picture)
    whole.thumbnail((LONG_SIDE_PX, LONG_SIDE_PX))
    return np.asarray(whole.convert("RGB"), np.uint8)


if __name__ == "__main__":
    main()
