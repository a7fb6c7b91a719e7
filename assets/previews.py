"""What to look at after a table was brought up to date: contact sheets, spectrograms, classes, lists, evaluations, and what failed."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from assets.copies import duplicate_groups
from assets.defects import weakest
from assets.leaderboard import leaderboard
from assets.pictures import embedded, plain, table, thumbnail
from assets.withheld import kept_back
from avrec_dag.items import Outcome
from avrec_dag.ledger import Ledger
from avrec_dag.media.sheet import clock
from avrec_dag.quality.parts import PARTS
from avrec_dag.schema import TABLES
from avrec_dag.storage import Blobs

_ITEMS, _FAILED, _PEOPLE, _LISTED = 6, 20, 4, 5
Record = dict[str, Any]


def of(outcome: Outcome, ledger: Ledger, blobs: Blobs) -> Iterator[tuple[str, str]]:
    """Title and Markdown of every preview of one partition."""
    if outcome.table in _SHOWN:
        title, show = _SHOWN[outcome.table]
        if text := show(ledger, blobs, outcome.partition):
            yield title, text
    for label, path in outcome.blobs.items():
        yield f"avrec/{label.replace(' ', '_')}", embedded(blobs.get(path), 900, label)
    if text := _failures(ledger, outcome.table, outcome.partition):
        yield "avrec/why_they_failed", text


def _failures(ledger: Ledger, name: str, partition: str) -> str:
    key = TABLES[name].key
    rows = ledger.rows(name, partition, ["error", "attempts"], status="failed").slice(0, _FAILED).to_pylist()
    return table([key, "attempts", "why"], [[plain(r[key]), str(r["attempts"]), plain(r["error"], 300)] for r in rows]) if rows else ""


def _sheets(ledger: Ledger, blobs: Blobs, day: str) -> str:
    rows = _some(ledger, "frames", day, ["blob", "n_frames", "shot_starts_s", "method"])
    return "\n\n".join(
        f"{plain(r['media_id'])}: frames {r['n_frames']}, shots {len(r['shot_starts_s'] or ())}, method {r['method']}\n\n"
        + embedded(blobs.get(f"{r['blob']}/sheet.jpg"), 640)
        for r in rows
    )


def _spectrograms(ledger: Ledger, blobs: Blobs, day: str) -> str:
    rows = _some(ledger, "audio_spectrograms", day, ["blob", "loudness_lufs", "peak_dbfs", "speech_share", "music_share"])
    return "\n\n".join(
        f"{plain(r['media_id'])}: {_number(r['loudness_lufs'], ' LUFS')}, peak {_number(r['peak_dbfs'], ' dBFS')}, "
        f"speech {_number(r['speech_share'])}, music {_number(r['music_share'])}\n\n"
        + embedded(blobs.get(f"{r['blob']}/spectrogram.png"), 640)
        for r in rows
    )


def _classes(ledger: Ledger, blobs: Blobs, day: str) -> str:
    rows = _some(ledger, "content_classes", day, ["class_names", "class_probs", "method"])
    return _with_pictures(ledger, blobs, day, rows, ["classes", "by"], lambda r: [_ranked(r), r["method"]])


def _tags(name: str) -> "Show":
    def show(ledger: Ledger, blobs: Blobs, day: str) -> str:
        rows = _some(ledger, name, day, ["class_names", "class_probs"])
        return _with_pictures(ledger, blobs, day, rows, ["what the encoder finds"], lambda r: [_ranked(r)])

    return show


def _comments(ledger: Ledger, _: Blobs, day: str) -> str:
    rows = ledger.rows("comment_sentiment", day, ["media_id", "score", "sentiment"]).to_pylist()
    texts = ledger.rows("feedback_events", day, ["text"])
    said = dict(zip(texts["event_id"].to_pylist(), texts["text"].to_pylist(), strict=True))
    strongest = sorted(rows, key=lambda r: (-abs(r["score"] - 0.5), r["event_id"]))[:_FAILED]
    cells = [[_bar(r["score"]), r["sentiment"], plain(r["media_id"]), plain(said.get(r["event_id"]) or "", 200)] for r in strongest]
    return table(["score, strongest first", "", "item", "comment"], cells) if cells else ""


def _looks(ledger: Ledger, _: Blobs, partition: str) -> str:
    columns = ["on", "reason", "n_examples", "spearman", "spearman_low", "spearman_high"]
    rows = ledger.rows("aesthetic_model", partition, columns).to_pylist()
    cells = [
        ["on" if r["on"] else "off", str(r["n_examples"]), *(_number(r[name]) for name in columns[3:]), plain(r["reason"], 300)]
        for r in rows
    ]
    return table(["", "examples", "correlation", "at least", "at most", "why"], cells) if cells else ""


def _scores(ledger: Ledger, blobs: Blobs, _: str) -> str:
    rows = ledger.rows("quality_scores", None, ["score", *PARTS, "weights", "reason"])
    best = rows.sort_by([("score", "descending")]).slice(0, _ITEMS).to_pylist()
    head = ["score, best first", "its parts, with their weights", "why"]
    return _with_pictures(ledger, blobs, None, best, head, lambda r: [_bar(r["score"]), _parts(r), plain(r["reason"], 300)])


def _parts(row: Record) -> str:
    weights = {one["part"]: one["weight"] for one in row["weights"] or ()}
    return "<br>".join(f"{_bar(row[part])} {part}, {weights[part]:.0%}" for part in PARTS if part in weights and row[part] is not None)


def _bar(value: float) -> str:
    """A number in [0, 1] as text that is as long as it is large."""
    full = round(10 * min(max(value, 0.0), 1.0))
    return f"{'█' * full}{'░' * (10 - full)} {value:.2f}"


def _lists(ledger: Ledger, blobs: Blobs, _: str) -> str:
    people = _some(ledger, "recommendations", None, ["media_ids", "scores", "reasons"])[:_PEOPLE]
    chosen = [
        {"media_id": media_id, "user_id": person["user_id"], "score": score, "reason": reason}
        for person in people
        for media_id, score, reason in list(zip(person["media_ids"], person["scores"], person["reasons"], strict=True))[:_LISTED]
    ]
    return _with_pictures(
        ledger, blobs, None, chosen, ["for", "score", "why"], lambda r: [plain(r["user_id"]), f"{r['score']:.2f}", plain(r["reason"], 200)]
    )


def _health(ledger: Ledger, _: Blobs, partition: str) -> str:
    rows = ledger.rows("recommendation_health", partition, ["value", "passed", "detail"]).to_pylist()
    cells = [["✔" if r["passed"] else "✘", plain(r["metric"]), f"{r['value']:.3g}", plain(r["detail"])] for r in rows]
    return table(["", "metric", "value", "meaning"], cells) if cells else ""


def _said(ledger: Ledger, blobs: Blobs, day: str) -> str:
    rows = ledger.rows("transcripts", day, ["language", "text", "segments"]).to_pylist()
    spoken = [row for row in rows if row["text"]][:_ITEMS]
    return _with_pictures(ledger, blobs, day, spoken, ["language", "said"], lambda r: [plain(r["language"]), _timed(r["segments"])])


def _shown(ledger: Ledger, blobs: Blobs, day: str) -> str:
    rows = [row for row in ledger.rows("screen_text", day, ["text", "lines"]).to_pylist() if row["text"]][:_ITEMS]
    return _with_pictures(ledger, blobs, day, rows, ["on screen"], lambda r: [_timed(r["lines"])])


def _timed(told: Sequence[Record]) -> str:
    more = f"<br>and {len(told) - _LISTED} more" if len(told) > _LISTED else ""
    return "<br>".join(f"{clock(one['start_s'])} {plain(one['text'], 200)}" for one in told[:_LISTED]) + more


def _decisions(ledger: Ledger, _: Blobs, partition: str) -> str:
    """The newest decision with both tables, and the ones before it."""
    rows = ledger.rows("classifier_decision", partition, ["decided_at", "adopted", "reason", "metrics"]).to_pylist()
    rows.sort(key=lambda r: r["decided_at"], reverse=True)
    if not rows:
        return ""
    models = list(dict.fromkeys(one["metric"] for one in rows[0]["metrics"] or ()))
    values = {(one["model"], one["metric"]): f"{one['value']:.3f}" for one in rows[0]["metrics"] or ()}
    both = [[plain(name), values.get(("champion", name), "–"), values.get(("challenger", name), "–")] for name in models]
    told = [[f"{r['decided_at']:%Y-%m-%d %H:%M}", "challenger" if r["adopted"] else "champion", plain(r["reason"], 300)] for r in rows[:10]]
    tables = [table(["metric", "champion", "challenger"], both)] if both else []
    return "\n\n".join([*tables, table(["decided", "serves", "why"], told)])


Show = Callable[[Ledger, Blobs, str], str]
_SHOWN: dict[str, tuple[str, Show]] = {
    "frames": ("avrec/contact_sheets", _sheets),
    "audio_spectrograms": ("avrec/spectrograms", _spectrograms),
    "frame_embeddings": ("avrec/seen", _tags("frame_embeddings")),
    "audio_embeddings": ("avrec/heard", _tags("audio_embeddings")),
    "transcripts": ("avrec/said", _said),
    "screen_text": ("avrec/shown", _shown),
    "content_classes": ("avrec/classes", _classes),
    "duplicates": ("avrec/groups_of_copies", duplicate_groups),
    "moderation_decisions": ("avrec/kept_back", kept_back),
    "classifier_decision": ("avrec/decisions", _decisions),
    "technical_quality": ("avrec/weakest", weakest),
    "aesthetic_model": ("avrec/looks", _looks),
    "comment_sentiment": ("avrec/strongest", _comments),
    "quality_scores": ("avrec/best", _scores),
    "recommendations": ("avrec/sample_lists", _lists),
    "recommender_evaluation": ("avrec/leaderboard", leaderboard),
    "recommendation_health": ("avrec/health", _health),
}


def _some(ledger: Ledger, name: str, partition: str | None, columns: Sequence[str]) -> list[Record]:
    return ledger.rows(name, partition, columns).slice(0, _ITEMS).to_pylist()


def _with_pictures(
    ledger: Ledger, blobs: Blobs, day: str | None, rows: Sequence[Record], head: Sequence[str], cells: Callable[[Record], list[str]]
) -> str:
    """A table of items, each with its middle frame."""
    if not rows:
        return ""
    frames = ledger.rows("frames", day, ["blob"])
    prefixes = dict(zip(frames["media_id"].to_pylist(), frames["blob"].to_pylist(), strict=True))
    lines = [[thumbnail(blobs, prefixes.get(r["media_id"])), plain(r["media_id"]), *cells(r)] for r in rows]
    return table(["", "item", *head], lines)


def _ranked(row: Record) -> str:
    pairs = list(zip(row["class_names"] or (), row["class_probs"] or (), strict=True))[:3]
    return ", ".join(f"{plain(name, 40)} {prob:.0%}" for name, prob in pairs)


def _number(value: float | None, unit: str = "") -> str:
    return "unknown" if value is None else f"{value:.2f}{unit}" if not unit else f"{value:.1f}{unit}"
