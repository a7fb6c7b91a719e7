"""From the listing of uploads to rows of raw_media: which are new, changed or gone, and what each one is."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, cast

from avrec_dag.items import DecodesUploads, Item, Row, each
from avrec_dag.media.layout import layout
from avrec_dag.media.probe import Probe, probe
from avrec_dag.media.sidecar import MAX_BYTES, Metadata, Parsed, parse, read_json
from avrec_dag.media.spoken import Listed, hashed, is_media, spoken_of
from avrec_dag.media.uploads import MediaSource, Upload, day_in_key, day_of
from avrec_dag.steps import Step

if TYPE_CHECKING:
    from avrec_dag.ledger import Ledger, Plan

_LISTING = "listing"
"""The name under which an item of raw_media carries its `Listed` (`Item.parents`)."""


def days_of(ledger: "Ledger", source: MediaSource, today: date, start: date) -> dict[str, list[Upload]]:
    """The complete listing's media by upload day; days already known for an item stay.

    Args:
        ledger: Knows the day of everything ingested so far, failed items included.
        source: The media library.
        today: The day for an upload whose own day cannot be told.
        start: The first day that exists.
    """
    known = known_days(ledger)
    days: dict[str, list[Upload]] = {}
    for upload in source.list():
        if is_media(upload.key):
            days.setdefault(day_of(upload, known, today, start), []).append(upload)
    return dict(sorted(days.items()))


def known_days(ledger: "Ledger") -> dict[str, str]:
    """Key -> day of everything ingested so far, failed items included."""
    rows = ledger.rows("raw_media", columns=["partition"], status=None)
    return dict(zip(rows["media_id"].to_pylist(), rows["partition"].to_pylist(), strict=True))


def uploads_of(ledger: "Ledger", source: MediaSource, day: str, today: date, start: date) -> list[Listed]:
    """The media of one day, by a listing that is complete for it: other days' folders are left alone where keys name the day.

    Args:
        ledger: Knows the day of everything ingested so far.
        source: The media library.
        day: YYYY-MM-DD.
        today: The day for an upload whose own day cannot be told.
        start: The first day that exists.
    """
    known, shape = known_days(ledger), layout(source)
    named = {one for one in shape.days if max(start.isoformat(), min(one, today.isoformat())) == day}
    named |= {own.isoformat() for key, at in known.items() if at == day and (own := day_in_key(key))}
    folders = [*shape.others, *(folder for one in sorted(named) for folder in shape.days.get(one, ()))]
    listing = [*shape.loose, *source.list(folders)]
    media = [upload for upload in listing if is_media(upload.key) and day_of(upload, known, today, start) == day]
    return spoken_of(source, media, listing)


def plan_uploads(ledger: "Ledger", source: MediaSource, step: Step, partition: str, today: date, start: date) -> "Plan":
    """As `plan_listed`, by the listing as it is now; the other arguments are those of `uploads_of`."""
    return plan_listed(ledger, step, partition, uploads_of(ledger, source, partition, today, start))


def plan_listed(ledger: "Ledger", step: Step, partition: str, listed: Iterable[Listed]) -> "Plan":
    """What of one day is to be probed and what has left.

    An item's version comes from the listing alone (size and ETag of the upload and of its sidecar, and its own line of the folder's
    metadata file), so nothing is read that has not changed.

    Args:
        ledger: Where rows are.
        step: raw_media.
        partition: The day.
        listed: All media of that day (`uploads_of`).
    """
    by_key = {one.upload.key: one for one in listed}
    plan = ledger.wanted(step.name, partition, {key: one.version(step) for key, one in by_key.items()})
    return replace(plan, todo=[replace(item, parents={_LISTING: {"listed": by_key[item.key]}}) for item in plan.todo])


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
        fields["metadata"] = hashed(metadata.title, metadata.description, metadata.tags)
    if metadata.labels:
        fields["labels"] = hashed(metadata.labels, metadata.source, metadata.creator)
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
