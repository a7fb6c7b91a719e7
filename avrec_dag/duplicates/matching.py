"""Whether two items are copies of one another, how alike they are and why; a function of the two items alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from avrec_dag.duplicates.fingerprints import Fingerprint
from avrec_dag.duplicates.picture_match import PictureMatch, compare
from avrec_dag.duplicates.picture_print import PicturePrint, mirrored
from avrec_dag.duplicates.sound_match import sound_agreement

Kind = Literal["exact", "perceptual", "semantic"]
LENGTHS = (0.85, 1 / 0.85)
"""A copy runs about as long as what it was copied from: 5 % of speed and what containers round; excerpts are no duplicates."""
_LENGTH_SLACK_S = 0.5
_NEIGHBOURS = 3
"""Frames of the other item, nearest in time, that each frame is compared with."""
_MATCHING_SHARE = 0.7
"""Of an item's frames so many count, the best ones: the others may lie beside a cut."""
_SURE_INLIERS, _SURE_AGREEMENT = 20, 0.9
"""From here on no better match is looked for: neither with other frames nor in a mirror."""


@dataclass(frozen=True)
class Limits:
    """What makes two items copies. Chosen on one half of the clips of `bench/duplicates.py`, reported on the other.

    Attributes:
        picture: Least agreement of aligned frames.
        sound: Least correlation at which two sounds are the same recording.
        other_sound: Correlation below which two sounds are different recordings.
        picture_under_other_sound: Least agreement of aligned frames then: two talks before one wall agree in the wall.
    """

    picture: float = 0.6
    sound: float = 0.7
    other_sound: float = 0.4
    picture_under_other_sound: float = 0.93


@dataclass(frozen=True)
class Compared:
    """What was measured of two items.

    Attributes:
        picture: Agreement of aligned frames, 0 to 1; None where one of them has no picture.
        sound: Correlation, -1 to 1; None where one has no sound, or one too even to tell.
        n_inliers: Keypoints on which the alignment of a middling frame rests; 0: the frames lie on each other as they are.
        scale: How much larger the second item shows the picture.
        mirrored: Whether left and right are exchanged.
    """

    picture: float | None
    sound: float | None
    n_inliers: int = 0
    scale: float = 1.0
    mirrored: bool = False


@dataclass(frozen=True)
class Verdict:
    """Two items are copies.

    Attributes:
        kind: exact: the same packets; perceptual: the pictures lie on each other, or, without pictures, it is the same recording;
            semantic: the same recording with pictures that look alike but move too fast to be laid over one another.
        similarity: 0 to 1.
        evidence: In words.
    """

    kind: Kind
    similarity: float
    evidence: str


def about_as_long(a_s: float, b_s: float) -> bool:
    """Whether two lengths in seconds may be those of an item and its copy; still pictures have length 0."""
    if not a_s or not b_s:
        return not a_s and not b_s
    return LENGTHS[0] <= a_s / b_s <= LENGTHS[1] or (abs(a_s - b_s) <= _LENGTH_SLACK_S and min(a_s, b_s) >= _LENGTH_SLACK_S)


def compared(a: Fingerprint, b: Fingerprint) -> Compared:
    """Compare two items: frames at about the same share of the length, sounds at the ratio of the lengths."""
    stretch = b.duration_s / a.duration_s if a.duration_s and b.duration_s else 1.0
    sound = sound_agreement(a.sound, b.sound, stretch) if len(a.sound) and len(b.sound) else None
    if not a.frames or not b.frames:
        return Compared(None, sound)
    straight = _matches(a, a.frames, b)
    if np.median([one.n_inliers for one in straight]) >= _SURE_INLIERS or _score(straight) >= _SURE_AGREEMENT:
        return _told(straight, sound, in_mirror=False)
    turned = _matches(a, tuple(mirrored(one) for one in a.frames), b)
    return _told(turned, sound, in_mirror=True) if _score(turned) > _score(straight) else _told(straight, sound, in_mirror=False)


def judged(found: Compared, limits: Limits) -> Verdict | None:
    """The verdict on two items whose vectors are near (`candidates`) and whose packets are not the same; None when they are no copies."""
    if found.picture is None:
        if found.sound is None or found.sound < limits.sound:
            return None
        return Verdict("perceptual", found.sound, f"the same recording: sounds correlate {found.sound:.2f}")
    other = found.sound is not None and found.sound < limits.other_sound
    if found.picture >= (limits.picture_under_other_sound if other else limits.picture):
        return Verdict("perceptual", found.picture, _words(found))
    if found.sound is not None and found.sound >= limits.sound:
        words = (
            f"the same recording (sounds correlate {found.sound:.2f}) with pictures alike that move too fast to be laid over one another"
        )
        return Verdict("semantic", found.sound, words)
    return None


def _words(found: Compared) -> str:
    how = [f"{found.n_inliers} keypoints agree on one placement" if found.n_inliers else "as they are"]
    if found.n_inliers and abs(np.log(found.scale)) > np.log(1.03):
        larger = max(found.scale, 1 / found.scale)
        how.append(f"one shows the picture {larger:.2f} times larger")
    if found.mirrored:
        how.append("in a mirror")
    heard = "" if found.sound is None else f"; sounds correlate {found.sound:.2f}"
    return f"frames laid over one another agree {found.picture:.2f} ({', '.join(how)}){heard}"


def _matches(a: Fingerprint, frames: Sequence[PicturePrint], b: Fingerprint) -> list[PictureMatch]:
    """The best match of each frame of the first item among the frames of the second that come at about the same time."""
    found = []
    for at, frame in zip(a.at, frames, strict=True):
        best = PictureMatch()
        for place in np.argsort(np.abs(b.at - at), kind="stable")[:_NEIGHBOURS]:
            best = max(best, compare(frame, b.frames[place]), key=lambda match: match.agreement)
            if best.agreement >= _SURE_AGREEMENT:
                break
        found.append(best)
    return found


def _score(matches: Sequence[PictureMatch]) -> float:
    best = sorted((match.agreement for match in matches), reverse=True)
    return float(np.mean(best[: max(1, round(_MATCHING_SHARE * len(best)))]))


def _told(matches: Sequence[PictureMatch], sound: float | None, *, in_mirror: bool) -> Compared:
    middle = float(np.median([match.scale for match in matches]))
    return Compared(_score(matches), sound, int(np.median([match.n_inliers for match in matches])), middle, in_mirror)
