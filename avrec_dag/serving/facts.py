"""Everything the tables say of one item, and where its pictures and its bytes are."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal
from urllib.parse import quote

from pydantic import BaseModel, Field

from avrec_dag.ledger import Ledger

MOST_MOMENTS = 200
_ABOUT = ["title", "description", "tags", "creator", "language", "published_at", "kind", "duration_s", "width", "height", "fps"]
_ABOUT += ["size_bytes", "uploaded_at", "video_codec", "audio_codec", "partition"]


class Class(BaseModel):
    """One class of an item."""

    label: str
    probability: Annotated[float, Field(ge=0, le=1)]


class Part(BaseModel):
    """One part of a quality score."""

    part: Annotated[str, Field(description="technical, aesthetic, behaviour or sentiment")]
    score: Annotated[float, Field(ge=0, le=1)]
    weight: Annotated[float, Field(ge=0, le=1, description="The weights of an item's parts add up to 1")]


class Measured(BaseModel):
    """One technical signal."""

    name: str
    value: float | None
    unit: str | None
    score: Annotated[float | None, Field(ge=0, le=1)]
    reason: str | None


class Quality(BaseModel):
    """How good an item is, and why."""

    score: Annotated[float, Field(ge=0, le=1)]
    reason: str
    parts: list[Part]
    signals: Annotated[list[Measured], Field(description="What was measured in picture and sound, worst first")]
    people: Annotated[int, Field(ge=0, description="How many people did something with it")]


class Stretch(BaseModel):
    """A moment of an item: a shot, a sentence that was said, or a line on the screen."""

    start_s: float
    end_s: float
    kind: Literal["picture", "speech", "screen"]
    text: Annotated[str | None, Field(description="What was said or shown; null for a shot")] = None


class Copy(BaseModel):
    """Of what an item is a copy."""

    canonical: Annotated[str, Field(description="The item that stands for the group")]
    kind: Annotated[str, Field(description="canonical, exact, perceptual or semantic")]
    evidence: str | None


class Links(BaseModel):
    """Addresses on this service; null for what the item does not have."""

    self: str
    stream: str
    still: str | None
    sheet: str | None
    spectrogram: str | None
    similar: str


class Item(BaseModel):
    """One item of the library."""

    media_id: str
    title: str | None
    description: str | None
    tags: list[str]
    creator: str | None
    language: str | None
    published_at: str | None
    kind: Literal["video", "audio", "image"]
    duration_s: float | None
    width: int | None
    height: int | None
    fps: float | None
    size_bytes: int
    uploaded_at: datetime | None
    day: Annotated[str, Field(description="Its upload day, YYYY-MM-DD")]
    labels: Annotated[list[str], Field(description="Its classes")]
    classes: Annotated[list[Class], Field(description="Every class with its probability, best first")]
    classified_by: Annotated[str | None, Field(description="classifier, none_of_these or zero_shot; null before it is classified")]
    quality: Annotated[Quality | None, Field(description="null before it is scored")]
    moments: Annotated[list[Stretch], Field(description="In order of time, at most 200")]
    copy_of: Annotated[Copy | None, Field(description="null where there are no copies")]
    links: Links


def address(media_id: str, what: str = "") -> str:
    """Path of an item on this service.

    Args:
        media_id: Which.
        what: Of it: stream, still, sheet or spectrogram.
    """
    return f"/v1/media/{quote(media_id)}{f'/{what}' if what else ''}"


def facts(ledger: Ledger, row: Mapping[str, Any]) -> Item:
    """What the tables say of one item.

    Args:
        ledger: The tables.
        row: Of raw_media.
    """
    media_id = row["media_id"]
    classified: Mapping[str, Any] = ledger.row("content_classes", media_id) or {}
    classes = zip(classified.get("class_names") or (), classified.get("class_probs") or (), strict=True)
    return Item(
        **{name: row[name] for name in Item.model_fields if name in row and name != "tags" and name != "labels"},
        tags=row["tags"] or [],
        day=row["partition"],
        labels=classified.get("labels") or [],
        classes=[Class(label=name, probability=min(1.0, max(0.0, share))) for name, share in classes],
        classified_by=classified.get("method"),
        quality=_quality(ledger, media_id),
        moments=_moments(ledger, media_id),
        copy_of=_copy(ledger, media_id),
        links=_links(ledger, media_id),
    )


def _quality(ledger: Ledger, media_id: str) -> Quality | None:
    row: Mapping[str, Any] | None = ledger.row("quality_scores", media_id)
    if row is None:
        return None
    parts = [Part(part=one["part"], score=row[one["part"]], weight=one["weight"]) for one in row["weights"] or ()]
    measured: Mapping[str, Any] = ledger.row("technical_quality", media_id, ["signals"]) or {}
    signals = sorted(measured.get("signals") or (), key=lambda one: (one["score"] is None, one["score"], one["name"]))
    told = [Measured(**one) for one in signals]
    return Quality(score=row["score"], reason=row["reason"] or "", parts=parts, signals=told, people=row["n_people"] or 0)


def _moments(ledger: Ledger, media_id: str) -> list[Stretch]:
    shots: Mapping[str, Any] = ledger.row("frame_embeddings", media_id, ["shot_starts_s", "shot_ends_s"]) or {}
    said: Mapping[str, Any] = ledger.row("transcripts", media_id, ["segments"]) or {}
    shown: Mapping[str, Any] = ledger.row("screen_text", media_id, ["lines"]) or {}
    times = zip(shots.get("shot_starts_s") or (), shots.get("shot_ends_s") or (), strict=True)
    found = [Stretch(start_s=start, end_s=end, kind="picture") for start, end in times]
    found += [Stretch(start_s=one["start_s"], end_s=one["end_s"], kind="speech", text=one["text"]) for one in said.get("segments") or ()]
    found += [Stretch(start_s=one["start_s"], end_s=one["end_s"], kind="screen", text=one["text"]) for one in shown.get("lines") or ()]
    return sorted(found, key=lambda one: (one.start_s, one.end_s, one.kind))[:MOST_MOMENTS]


def _copy(ledger: Ledger, media_id: str) -> Copy | None:
    row: Mapping[str, Any] | None = ledger.row("duplicates", media_id, ["canonical", "kind", "evidence"])
    if row is None or not row["canonical"]:
        return None
    return Copy(canonical=row["canonical"], kind=row["kind"], evidence=row["evidence"])


def _links(ledger: Ledger, media_id: str) -> Links:
    frames: Mapping[str, Any] = ledger.row("frames", media_id, ["n_frames"]) or {}
    sound: Mapping[str, Any] = ledger.row("audio_spectrograms", media_id, ["blob"]) or {}
    seen, heard = bool(frames.get("n_frames")), bool(sound.get("blob"))
    return Links(
        self=address(media_id),
        stream=address(media_id, "stream"),
        still=address(media_id, "still") if seen else None,
        sheet=address(media_id, "sheet") if seen else None,
        spectrogram=address(media_id, "spectrogram") if heard else None,
        similar=f"/v1/similar/{quote(media_id)}",
    )
