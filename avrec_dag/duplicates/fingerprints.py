"""The task of fingerprints: what is remembered of every item so that its copies are known again."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avrec_dag.duplicates.picture_print import PicturePrint, picture_print
from avrec_dag.duplicates.sound_match import BANDS, Sound, sound_print
from avrec_dag.encoders.embed import frames_at, log_mel_of
from avrec_dag.items import Item, Row
from avrec_dag.storage import Blobs

FRAMES = 6
"""Frames of an item that are remembered, evenly spread over those sampled."""
FILE = "fingerprint.safetensors"


@dataclass(frozen=True)
class Fingerprint:
    """What is remembered of one item.

    Attributes:
        frames: At most `FRAMES`, in order of time.
        at: float32 (n_frames,): when, as a share of the item's length.
        sound: See `sound_match`; no rows without sound.
        duration_s: Length of the item; 0 for a still picture.
    """

    frames: tuple[PicturePrint, ...]
    at: NDArray[np.float32]
    sound: Sound
    duration_s: float

    def file(self) -> bytes:
        """All of it as one safetensors file."""
        from safetensors.numpy import save

        empty = [np.zeros(shape, kind) for shape, kind in (((0, 2), np.float32), ((0, 128), np.uint8))]
        arrays: dict[str, np.ndarray] = {
            "xy": np.concatenate([empty[0], *(one.xy for one in self.frames)]).astype(np.float16),
            "descriptors": np.concatenate([empty[1], *(one.descriptors for one in self.frames)]),
            "n": np.array([len(one.xy) for one in self.frames], np.int32),
            "at": self.at,
            "sound": self.sound,
            "duration_s": np.array([self.duration_s]),
        }
        return save(arrays | {f"small{number}": np.ascontiguousarray(one.small) for number, one in enumerate(self.frames)})

    @classmethod
    def read(cls, data: bytes) -> "Fingerprint":
        """The inverse of `file`."""
        from safetensors.numpy import load

        arrays = load(data)
        ends = np.cumsum(arrays["n"])
        frames = tuple(
            PicturePrint(arrays["xy"][end - n : end].astype(np.float32), arrays["descriptors"][end - n : end], arrays[f"small{number}"])
            for number, (n, end) in enumerate(zip(arrays["n"].tolist(), ends.tolist(), strict=True))
        )
        return cls(frames, arrays["at"], arrays["sound"], float(arrays["duration_s"][0]))


@dataclass(frozen=True)
class TakeFingerprints:
    """Task of fingerprints: from the frames and the spectrogram that are stored already; nothing is decoded again.

    Attributes:
        store_uri: Where blobs are and go.
    """

    store_uri: str

    def __call__(self, items: Sequence[Item]) -> list[Row]:
        """One row per item; its field `fingerprint` covers everything that comparing looks at."""
        return [self._row(item) for item in items]

    def _row(self, item: Item) -> Row:
        blobs, media = Blobs(self.store_uri), item.parents["raw_media"]
        taken = self._taken(blobs, item.parents)
        hashes = dict(media["fields"])  # type: ignore[call-overload]
        data = taken.file()
        blobs.put("fingerprints", item.key, item.version, FILE, data)
        values = {
            "video_hash": hashes.get("video"),
            "audio_hash": hashes.get("audio"),
            "n_frames": len(taken.frames),
            "n_keypoints": sum(len(one.xy) for one in taken.frames),
            "sound_s": len(taken.sound) / 10,
            "blob": blobs.prefix("fingerprints", item.key, item.version),
        }
        exact = f"{values['video_hash']}|{values['audio_hash']}|"
        return item.done({"fingerprint": hashlib.sha256(exact.encode() + data).hexdigest()}, values)

    def _taken(self, blobs: Blobs, parents: Mapping[str, Mapping[str, object]]) -> Fingerprint:
        duration_s = float(parents["raw_media"]["duration_s"] or 0)  # type: ignore[arg-type]
        sound = np.zeros((0, BANDS), np.uint8)
        if "audio_spectrograms" in parents:
            sound = sound_print(log_mel_of(blobs, str(parents["audio_spectrograms"]["blob"])))
        if "frames" not in parents:
            return Fingerprint((), np.zeros(0, np.float32), sound, duration_s)
        t_s: list[float] = list(parents["frames"]["t_s"])  # type: ignore[call-overload]
        chosen = spread(len(t_s), FRAMES)
        prints = tuple(picture_print(picture) for picture in frames_at(blobs, str(parents["frames"]["blob"]), chosen))
        at = np.array([t_s[i] / duration_s if duration_s else 0.0 for i in chosen], np.float32)
        return Fingerprint(prints, at, sound, duration_s)


def spread(n: int, most: int) -> list[int]:
    """At most `most` of `n` places, evenly spread."""
    return [int((i + 0.5) * n / most) for i in range(most)] if most < n else list(range(n))
