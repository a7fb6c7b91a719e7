"""The tasks of frame_embeddings and audio_embeddings: one vector per item, and its place in the joint space."""

import hashlib
import io
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avrec_dag.encoders import registry, shots
from avrec_dag.encoders.base import Matrix, Picture, SoundTagger, Tagger, WaveformTagger, trusted, unit_rows
from avrec_dag.encoders.joint import JointSpace
from avrec_dag.errors import AvrecError
from avrec_dag.items import Item, Row
from avrec_dag.media.log_mel import HOP, SAMPLE_RATE_HZ
from avrec_dag.media.uploads import MediaSource
from avrec_dag.media.windows import windows
from avrec_dag.storage import Blobs

MOST_FRAMES = 4096
MOST_ARCHIVE_BYTES = 256 << 20
MOST_FRAME_PIXELS = 50_000_000
HELD = 128
"""Decoded frames held in memory at once: 57 MB at 512 pixels, and a full batch for a graphics card."""
N_CLASSES = 20
"""Classes kept with a row, best first."""


@dataclass(frozen=True)
class EmbedFrames:
    """Task of frame_embeddings: the mean over an item's frames of their unit vectors, in unit length; the same for every shot.

    Frames of all items of a batch go through the network together.

    Attributes:
        store_uri: Where the frames' blobs are.
        preset: Which encoders, as in `registry.preset`.
    """

    store_uri: str
    preset: str = "packaged"

    @property
    def on_card(self) -> bool:
        """Whether it computes on a graphics card."""
        return registry.load(registry.preset(self.preset).frame.name).device != "cpu"

    def __call__(self, items: Sequence[Item]) -> list[Row]:
        """One row per item; its field `vector` is the hash of vector and joint, `shots` that of the shots' vectors and times."""
        blobs = Blobs(self.store_uri)
        frames = (_frames(blobs, _blob(item, "frames")) for item in items)
        return _rows(items, frames, registry.load_frames(self.preset), self.preset, "n_frames", by_shot=True)


@dataclass(frozen=True)
class EmbedAudio:
    """Task of audio_embeddings: the mean over an item's patches of sound of their unit vectors, in unit length.

    Attributes:
        store_uri: Where the spectrograms' blobs are.
        preset: Which encoders, as in `registry.preset`.
        media_uri: The media library, for encoders that want the waveform.
    """

    store_uri: str
    preset: str = "packaged"
    media_uri: str = ""

    @property
    def on_card(self) -> bool:
        """Whether it computes on a graphics card."""
        return registry.load(registry.preset(self.preset).audio.name).device != "cpu"

    def __call__(self, items: Sequence[Item]) -> list[Row]:
        """One row per item; its field `vector` is the hash of vector, joint and classes."""
        tagger = registry.load_sound(self.preset)
        return _rows(items, (self._patches(item, tagger) for item in items), tagger, self.preset, "n_patches")

    def _patches(self, item: Item, tagger: SoundTagger | WaveformTagger) -> Iterable[Matrix]:
        if not isinstance(tagger, WaveformTagger):
            return tagger.patches(_log_mel(Blobs(self.store_uri), _blob(item, "audio_spectrograms")))
        return self._windows(item, tagger)

    def _windows(self, item: Item, tagger: WaveformTagger) -> Iterator[Matrix]:
        duration_s = float(str(item.parents["audio_spectrograms"]["n_windows"])) * HOP / SAMPLE_RATE_HZ
        with MediaSource(self.media_uri).open_planned(item) as file:
            yield from windows(file, item.key, tagger.sample_rate_hz, tagger.window_s, duration_s)


def _rows(
    items: Sequence[Item], parts: Iterable[Iterable[Matrix | Picture]], tagger: Tagger, preset: str, counted: str, *, by_shot: bool = False
) -> list[Row]:
    """Tag the parts of all items together, and gather what belongs to each."""
    vectors, probs, owners = _tagged(parts, tagger)
    space, rows = JointSpace(preset), []

    def place(vectors: Matrix, probs: Matrix) -> tuple[Matrix, Matrix | None]:
        vector = unit_rows(vectors.mean(axis=0))
        return vector, space.of_media(tagger.spec, vector, tagger.classes, probs.mean(axis=0))

    for number, item in enumerate(items):
        mine = owners == number
        vector, joint = place(vectors[mine], probs[mine])
        mean = probs[mine].mean(axis=0)
        best = np.argsort(-mean, kind="stable")[:N_CLASSES]
        values = {
            "vector": vector,
            "joint": joint,
            "model": tagger.spec.identity,
            "class_names": [tagger.classes[i] for i in best],
            "class_probs": mean[best],
            counted: int(mine.sum()),
        }
        fields = {"vector": fingerprint(vector, joint)}
        if by_shot:
            told = shots.columns(shots.spans_of(item, int(mine.sum())), vectors[mine], probs[mine], place)
            values |= told
            fields["shots"] = fingerprint(*(told[name] for name in ("shot_starts_s", "shot_ends_s", "shot_vectors", "shot_joints")))
        rows.append(item.done(fields, values))
    return rows


def _tagged(parts: Iterable[Iterable[Matrix | Picture]], tagger: Tagger) -> tuple[Matrix, Matrix, NDArray[np.int64]]:
    """Vectors and probabilities of every part, and the number of the item it belongs to; at most `HELD` parts are in memory."""
    owners: list[int] = []
    held: list[Matrix | Picture] = []
    tagged: list[tuple[Matrix, Matrix]] = []
    most = tagger.held if isinstance(tagger, WaveformTagger) else HELD
    for number, one in enumerate(parts):
        for part in one:
            owners.append(number)
            held.append(part)
            if len(held) == most:
                tagged.append(tagger.tag(held))
                held = []
    if held:
        tagged.append(tagger.tag(held))
    return (
        trusted(tagger.spec, np.concatenate([vectors for vectors, _ in tagged])),
        np.concatenate([probs for _, probs in tagged]),
        np.array(owners),
    )


def fingerprint(*parts: object) -> str:
    """Hash of the numbers of an embedding to five decimals: threads add numbers in other orders, which changes the seventh."""
    digest = hashlib.sha256()
    for part in parts:
        # Adding zero turns -0.0 into 0.0.
        digest.update((np.round(np.asarray([] if part is None else part, np.float64), 5) + 0.0).astype("<f4").tobytes() + b"|")
    return digest.hexdigest()


def _blob(item: Item, parent: str) -> str:
    return str(item.parents[parent]["blob"])


def _frames(blobs: Blobs, prefix: str) -> Iterator[Picture]:
    """The pictures of frames.zip in order: RGB uint8 (h, w, 3); guarded, because a store may be shared."""
    path = f"{prefix}/frames.zip"
    for name, encoded in _members(blobs, path):
        picture = _picture(encoded)
        if picture is None:
            raise AvrecError(f"{path}: {name} is no picture, or has over {MOST_FRAME_PIXELS:,} pixels; sample the frames anew")
        yield picture


def _members(blobs: Blobs, path: str) -> list[tuple[str, bytes]]:
    with blobs.open(path) as file:
        data = file.read(MOST_ARCHIVE_BYTES + 1)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = sorted((entry for entry in archive.infolist() if entry.filename.endswith(".jpg")), key=lambda entry: entry.filename)
            if not 0 < len(entries) <= MOST_FRAMES or sum(entry.file_size for entry in entries) > MOST_ARCHIVE_BYTES:
                raise AvrecError(f"{path}: {len(entries)} frames, expected 1 to {MOST_FRAMES} of 256 MB together; sample the frames anew")
            return [(entry.filename, archive.read(entry)) for entry in entries]
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, zlib.error) as error:
        raise AvrecError(f"{path} is no readable archive of frames ({error}); sample the frames anew") from error


def _picture(encoded: bytes) -> Picture | None:
    """The decoded picture; None for what is none, or says before decoding that it is too large."""
    import cv2
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(encoded)) as header:
            if header.width * header.height > MOST_FRAME_PIXELS:
                return None
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError):
        return None
    decoded = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR_RGB)
    return None if decoded is None else np.asarray(decoded, np.uint8)


def _log_mel(blobs: Blobs, prefix: str) -> NDArray[np.floating]:
    """The spectrogram (n, 64) in dB, mapped where the store is a folder."""
    path = f"{prefix}/log_mel.npy"
    local = blobs.local(path)
    try:
        if local is not None:
            levels = np.load(local, mmap_mode="r", allow_pickle=False)
        else:
            levels = np.load(io.BytesIO(blobs.get(path)), allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise AvrecError(f"{path} is no readable array ({error}); compute the spectrogram anew") from error
    if levels.ndim != 2 or levels.shape[1] != 64 or levels.dtype.kind != "f":
        raise AvrecError(f"{path} holds {levels.dtype} {levels.shape}, expected floats (n, 64); compute the spectrogram anew")
    return levels


def frames_at(blobs: Blobs, prefix: str, chosen: Sequence[int]) -> Iterator[Picture]:
    """Some of an item's stored frames, RGB uint8 (h, w, 3), one after another.

    Args:
        blobs: The store.
        prefix: Column `blob` of frames.
        chosen: Their places, counted from 0 in order of time.

    Raises:
        AvrecError: What is stored is no archive of pictures, or holds fewer.
    """
    path = f"{prefix}/frames.zip"
    members = _members(blobs, path)
    for place in chosen:
        picture = _picture(members[place][1]) if place < len(members) else None
        if picture is None:
            raise AvrecError(f"{path}: frame {place} of {len(members)} is no picture; sample the frames anew")
        yield picture


def log_mel_of(blobs: Blobs, prefix: str) -> NDArray[np.floating]:
    """The stored spectrogram (n, 64) in dB under column `blob` of audio_spectrograms; see `_log_mel`."""
    return _log_mel(blobs, prefix)
