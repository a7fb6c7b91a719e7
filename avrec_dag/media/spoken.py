"""Which sidecars speak of an upload, and what the listing says of the two together."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath

from avrec_dag.media.listing import Upload
from avrec_dag.media.sidecar import FOLDER_FILES, MAX_FOLDER_BYTES, SIDECAR_SUFFIX, FolderFile, read_folder_file
from avrec_dag.media.uploads import MediaSource
from avrec_dag.steps import Step


@dataclass(frozen=True, slots=True)
class Listed:
    """What the complete listing says about one upload.

    Attributes:
        upload: The upload itself.
        sidecar: The JSON beside it.
        records: (metadata file, what its line says), weakest first.
        warnings: Of the folder's metadata files, where they say nothing about this upload.
    """

    upload: Upload
    sidecar: Upload | None = None
    records: tuple[tuple[str, Mapping[str, object]], ...] = ()
    warnings: tuple[str, ...] = ()

    def version(self, step: Step) -> str:
        """What the row of this upload is computed from."""
        return self._hashed(step.name, step.code)

    @property
    def state(self) -> str:
        """What the listing says of it, whatever is computed from that."""
        return self._hashed()

    def _hashed(self, *more: str) -> str:
        states = [(part.key, part.size_bytes, part.etag) for part in (self.upload, self.sidecar) if part]
        return hashed(*more, states, self.records, self.warnings)[:32]


def hashed(*parts: object) -> str:
    """SHA-256 of plain values, in hexadecimal."""
    return hashlib.sha256(json.dumps(parts, ensure_ascii=True, sort_keys=True).encode()).hexdigest()


def is_media(key: str) -> bool:
    """Whether an upload is to be probed: everything but sidecars; content, not the name, then decides what it is."""
    name = PurePosixPath(key).name
    return not name.lower().endswith(SIDECAR_SUFFIX) and name not in FOLDER_FILES


def spoken_of(source: MediaSource, media: Iterable[Upload], around: Iterable[Upload]) -> list[Listed]:
    """Media with what their sidecars say.

    Args:
        source: The media library.
        media: Some of its media.
        around: A listing in which their sidecars are, if there are any, and the metadata files of the folders above them.
    """
    sidecars = _Sidecars(source, around)
    return [sidecars.of(upload) for upload in media]


def digest(listed: Iterable[Listed]) -> str:
    """Hash of what a listing says of some media, whatever their order; 12 hex digits, empty for none."""
    states = sorted((one.upload.key, one.state) for one in listed)
    return hashed(states)[:12] if states else ""


class _Sidecars:
    """Which sidecars speak of an upload; a folder's metadata file is read once per version of its bytes."""

    def __init__(self, source: MediaSource, listing: Iterable[Upload]) -> None:
        self._source = source
        self._files = {upload.key: upload for upload in listing if not is_media(upload.key)}

    def of(self, upload: Upload) -> Listed:
        path = PurePosixPath(upload.key)
        beside = (f"{upload.key}{SIDECAR_SUFFIX}", str(path.with_suffix(SIDECAR_SUFFIX)))
        records: list[tuple[str, Mapping[str, object]]] = []
        warnings: list[str] = []
        for folder in reversed(path.parents):  # the nearest folder has the last word
            for name in reversed(FOLDER_FILES):
                folder_file = self._folder_file(str(folder / name))
                record = folder_file.records.get(str(path.relative_to(folder))) if folder_file else None
                if record:
                    records.append((name, record))
                elif folder_file and folder == path.parent:
                    warnings += folder_file.warnings
        return Listed(upload, next((self._files[name] for name in beside if name in self._files), None), tuple(records), tuple(warnings))

    def _folder_file(self, key: str) -> FolderFile | None:
        if key not in self._files:
            return None
        upload = self._files[key]
        return _folder_file(self._source, key, upload.etag)


@lru_cache(maxsize=16)
def _folder_file(source: MediaSource, key: str, etag: str) -> FolderFile:
    with source.open(key, etag) as file:
        return read_folder_file(file.read(MAX_FOLDER_BYTES + 1), PurePosixPath(key).name)
