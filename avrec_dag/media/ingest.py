"""From the listing of uploads to rows of raw_media: which are new, changed or gone, and what each one is."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import lru_cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, cast

from avrec_dag.items import DecodesUploads, Item, Row, each
from avrec_dag.media.probe import Probe, probe
from avrec_dag.media.sidecar import (
    FOLDER_FILES,
    MAX_BYTES,
    MAX_FOLDER_BYTES,
    SIDECAR_SUFFIX,
    FolderFile,
    Metadata,
    Parsed,
    parse,
    read_folder_file,
    read_json,
)
from avrec_dag.media.uploads import MediaSource, Upload, day_of
from avrec_dag.steps import Step

if TYPE_CHECKING:
    from avrec_dag.ledger import Ledger, Plan

_LISTING = "listing"
"""The name under which an item of raw_media carries its `Listed` (`Item.parents`)."""


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
        states = [(part.key, part.size_bytes, part.etag) for part in (self.upload, self.sidecar) if part]
        return _hash(step.name, step.code, states, self.records, self.warnings)[:32]


def is_media(key: str) -> bool:
    """Whether an upload is to be probed: everything but sidecars; content, not the name, then decides what it is."""
    name = PurePosixPath(key).name
    return not name.lower().endswith(SIDECAR_SUFFIX) and name not in FOLDER_FILES


def days_of(ledger: "Ledger", source: MediaSource, today: date, start: date) -> dict[str, list[Upload]]:
    """The complete listing's media by upload day; days already known for an item stay.

    Args:
        ledger: Knows the day of everything ingested so far, failed items included.
        source: The media library.
        today: The day for an upload whose own day cannot be told.
        start: The first day that exists.
    """
    known = _known_days(ledger)
    days: dict[str, list[Upload]] = {}
    for upload in source.list():
        if is_media(upload.key):
            days.setdefault(day_of(upload, known, today, start), []).append(upload)
    return dict(sorted(days.items()))


def _known_days(ledger: "Ledger") -> dict[str, str]:
    rows = ledger.rows("raw_media", columns=["partition"], status=None)
    return dict(zip(rows["media_id"].to_pylist(), rows["partition"].to_pylist(), strict=True))


def plan_uploads(ledger: "Ledger", source: MediaSource, step: Step, partition: str, today: date, start: date) -> "Plan":
    """What of one day is to be probed and what has left, by the complete listing.

    An item's version comes from the listing alone (size and ETag of the upload and of its sidecar, and its own line of the folder's
    metadata file), so nothing is read that has not changed.
    """
    listing = source.list()
    known = _known_days(ledger)
    sidecars = _Sidecars(source, listing)
    day = [upload for upload in listing if is_media(upload.key) and day_of(upload, known, today, start) == partition]
    listed = {upload.key: sidecars.of(upload) for upload in day}
    plan = ledger.wanted(step.name, partition, {key: one.version(step) for key, one in listed.items()})
    return replace(plan, todo=[replace(item, parents={_LISTING: {"listed": listed[item.key]}}) for item in plan.todo])


def _hash(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, ensure_ascii=True, sort_keys=True).encode()).hexdigest()


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


@lru_cache(maxsize=8)
def _folder_file(source: MediaSource, key: str, etag: str) -> FolderFile:
    with source.open(key, etag) as file:
        return read_folder_file(file.read(MAX_FOLDER_BYTES + 1), PurePosixPath(key).name)


@dataclass(frozen=True)
class ProbeUploads(DecodesUploads):
    """Task of raw_media: probes uploads and reads what their sidecars say.

    Attributes:
        media_uri: The media library.
    """

    media_uri: str

    def __call__(self, items: Sequence[Item]) -> list[Row]:
        """One row per item; an upload that cannot be decoded becomes a failed row that says why."""
        return each(items, self._row)

    def size_bytes(self, item: Item) -> int:
        """As it was listed."""
        return cast("Listed", item.parents[_LISTING]["listed"]).upload.size_bytes

    def _row(self, item: Item) -> Row:
        source = MediaSource(self.media_uri)
        listed = cast("Listed", item.parents[_LISTING]["listed"])
        with source.open(item.key, listed.upload.etag) as file:
            found = probe(file, PurePosixPath(item.key).name)
        written = _written(source, listed)
        return item.done(_fields(found, written.metadata), _values(listed.upload, found, written))


def _written(source: MediaSource, listed: Listed) -> Parsed:
    """Everything the sidecars say: the JSON beside the upload overrides its line in metadata.jsonl, and that the one in metadata.csv."""
    warnings = list(listed.warnings)
    spoken = list(listed.records)
    if listed.sidecar:
        name = PurePosixPath(listed.sidecar.key).name
        with source.open(listed.sidecar.key, listed.sidecar.etag) as file:
            record, problems = read_json(file.read(MAX_BYTES + 1), name)
        warnings += problems
        spoken.append((name, record))
    merged: dict[str, object] = {}
    for name, record in spoken:
        parsed = parse(record, name)
        warnings += parsed.warnings
        merged |= parsed.metadata.model_dump(exclude_defaults=True)
    return Parsed(Metadata.model_validate(merged), tuple(warnings))


def _fields(found: Probe, metadata: Metadata) -> dict[str, str]:
    fields = {}
    if found.video:
        fields["video"] = found.video.hash
    if found.audio:
        fields["audio"] = found.audio.hash
    if metadata.title or metadata.description or metadata.tags:
        fields["metadata"] = _hash(metadata.title, metadata.description, metadata.tags)
    if metadata.labels:
        fields["labels"] = _hash(metadata.labels, metadata.source, metadata.creator)
    return fields


def _values(upload: Upload, found: Probe, written: Parsed) -> dict[str, object]:
    values: dict[str, object] = {"size_bytes": upload.size_bytes, "etag": upload.etag, "uploaded_at": upload.uploaded_at}
    values |= {"kind": found.kind, "container": found.container, "duration_s": found.duration_s}
    if video := found.video:
        values |= {
            "video_codec": video.codec,
            "width": video.width,
            "height": video.height,
            "fps": video.fps,
            "rotation_deg": video.rotation_deg,
        }
    if audio := found.audio:
        values |= {
            "audio_codec": audio.codec,
            "sample_rate_hz": audio.sample_rate_hz,
            "channels": audio.channels,
            "channel_layout": audio.layout,
        }
    told = {key: list(value) if isinstance(value, tuple) else value for key, value in written.metadata.model_dump().items()}
    return {**values, **told, "warnings": [*found.warnings, *written.warnings]}
