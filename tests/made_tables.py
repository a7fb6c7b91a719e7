"""A coherent small library written straight into the ledger: every table as the real steps would leave it, for rules to judge."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from avrec_dag.items import Row
from avrec_dag.ledger import Ledger
from avrec_dag.schema import TABLES
from avrec_dag.steps import WHOLE, Recipe, Step, graph

DAY = "2026-03-02"
KEYS = ("a.mp4", "b.mp4", "c.mp4")
PEOPLE = ("ada", "bob")
STEPS: dict[str, Step] = graph(Recipe("f@1", "a@1", "e@1", "t@1", "s", speech="w@1", screen_text="o@1", moderation="n@1"))
AT = datetime(2026, 3, 2, 12, tzinfo=UTC)

_EMBEDDED = {"vector": [0.6, 0.8], "joint": [1.0, 0.0], "model": "m@1"}
_TAGGED = {**_EMBEDDED, "class_names": ["cat", "dog"], "class_probs": [0.75, 0.25]}
_MEASURED = {"model_version": "1", "evaluated_at": AT, "picture": "p.png"}
_ACCURACY = [
    {"model": "content_classifier", "metric": name, "value": value} for name, value in (("accuracy", 0.9), ("majority_accuracy", 0.2))
]
_BOTH = [{"model": name, "metric": "accuracy", "value": value} for name, value in (("champion", 0.8), ("challenger", 0.9))]
CURVE = [
    {"method": method, "diversity": step, "ndcg": 0.5 - step / 2, "ndcg_error": 0.1, "distance": 0.4 + step, "least_distance": 0.1,
     "coverage": 0.5, "quality": 0.6, "divergence": 0.1}
    for method, step in (("plain", 0.0), ("mmr", 0.4))
]  # fmt: skip
_NDCG = [{"model": name, "metric": "ndcg@10", "value": value} for name, value in (("blend", 0.4), ("popularity", 0.1))]
FIELDS = {
    "raw_media": ("video", "audio", "metadata", "labels"),
    "frames": ("frames",),
    "audio_spectrograms": ("log_mel", "waveform"),
    "feedback_events": ("event", "comment"),
    "interactions": ("history",),
    "transcripts": ("text",),
    "screen_text": ("text",),
}
VALUES: Mapping[str, Mapping[str, object]] = {
    "raw_media": {
        "size_bytes": 10, "etag": "e", "uploaded_at": AT, "kind": "video", "duration_s": 2.0, "width": 160, "height": 90, "warnings": [],
    },
    "feedback_events": {"user_id": "ada", "media_id": "a.mp4", "kind": "like", "happened_at": AT, "weight": 1.0},
    "comment_sentiment": {
        "user_id": "ada", "media_id": "a.mp4", "score": 0.75, "sentiment": "positive", "probs": [0.125, 0.25, 0.625], "model": "t@1",
    },
    "frames": {
        "n_frames": 2, "t_s": [0.0, 1.0], "shot": [0, 0], "shot_starts_s": [0.0], "width": 160, "height": 90, "method": "all", "blob": "b",
    },
    "audio_spectrograms": {
        "sample_rate_hz": 16000, "n_windows": 200, "peak_dbfs": -3.0, "loudness_lufs": -20.0, "clipped_share": 0.0, "blob": "b",
    },
    "frame_embeddings": {
        **_TAGGED, "n_frames": 2, "shot_starts_s": [0.0, 1.0], "shot_ends_s": [1.0, 2.0], "shot_vectors": [0.6, 0.8, 0.8, 0.6],
        "shot_joints": [1.0, 0.0, 0.0, 1.0],
    },
    "audio_embeddings": {**_TAGGED, "n_patches": 3},
    "transcripts": {
        "language": "en", "language_prob": 0.9, "text": "a cat", "speech_s": 1.5, "model": "w@1",
        "segments": [{"start_s": 0.5, "end_s": 1.5, "text": "a cat", "avg_logprob": -0.2, "no_speech_prob": 0.1}],
        "words": [{"start_s": 0.5, "end_s": 0.7, "word": "a", "prob": 0.9}, {"start_s": 0.8, "end_s": 1.5, "word": "cat", "prob": 0.8}],
    },
    "screen_text": {
        "text": "THE END", "n_frames": 2, "n_read": 1, "model": "o@1",
        "lines": [
            {"text": "THE END", "confidence": 0.9, "start_s": 0.0, "end_s": 2.0, "left": 0.1, "top": 0.1, "right": 0.9, "bottom": 0.2},
        ],
    },
    "text_embeddings": {
        **_EMBEDDED, "text": "a cat", "moment_kinds": [1], "moment_starts_s": [0.5], "moment_ends_s": [1.5], "moment_joints": [1.0, 0.0],
        "terms": [7, 8], "term_moments": [0, 0], "term_at_s": [0.5, 0.8],
    },
    "fused_features": {"vector": [1.0, 0.0], "joint": [0.0, 1.0], "tokens": [1.0] * 6, "modalities": ["video", "text"]},
    "moderation": {"score": 0.25, "worst_s": 1.0, "frame": 1, "scores": [0.125, 0.25], "t_s": [0.0, 1.0], "model": "n@1"},
    "moderation_decisions": {
        "decision": "allow", "origin": "model", "reports": 0, "reason": "scores 0.25", "score": 0.25, "worst_s": 1.0, "reviewer": None,
        "reviewed_at": None,
    },
    "technical_quality": {
        "score": 0.7, "picture_score": 0.7, "sound_score": None,
        "signals": [{"name": "sharpness", "value": 3.0, "unit": "", "score": 0.7, "reason": "sharp"}],
    },
    "fingerprints": {"video_hash": "v", "audio_hash": None, "n_frames": 2, "n_keypoints": 9, "sound_s": 0.0, "blob": "b"},
    "duplicates": {
        "group_id": None, "canonical": None, "kind": "unique", "similarity": None, "evidence": None,
        "media_ids": [], "kinds": [], "scores": [], "reasons": [], "compared": "c",
    },
    "label_corrections": {"labels": ["cat"], "previous": None, "labelled_by": "ada", "labelled_at": AT},
    "labels": {"labels": ["cat"], "source": "a", "origin": "person", "labelled_by": "ada", "labelled_at": AT},
    "classifier_candidate": {"blob": "b", "trained_at": AT, "n_examples": 3, "details": "{}"},
    "classifier_decision": {
        "decided_at": AT, "champion_version": "0", "candidate_version": "1", "adopted": True, "reason": "better", "picture": "p.png",
        "difference": 0.1, "low": 0.0, "high": 0.2, "n_items": 3, "metrics": _BOTH, "details": "{}",
    },
    "fusion_model": {"blob": None, "trained_at": AT, "n_examples": 1, "details": "{}", "picture": None},
    "content_classifier": {"blob": "b", "trained_at": AT, "n_examples": 3, "details": "{}"},
    "classifier_evaluation": {**_MEASURED, "metrics": _ACCURACY, "details": "{}"},
    "content_classes": {"labels": ["cat"], "class_names": ["cat", "dog"], "class_probs": [0.75, 0.25], "method": "classifier"},
    "interactions": {
        "media_ids": ["a.mp4"], "weights": [1.0], "last_s": [1.0], "explicit": [1.0], "done_micro": [0], "last_us": [1_000_000],
        "n_day": [1],
        "shown_ids": [], "shown_n": [], "shown_us": [], "creators": [], "newest_us": 1_000_000, "n_minute": 1, "n_hour": 1, "n_capped": 0,
    },
    "aesthetic_model": {
        "blob": "b", "trained_at": AT, "n_examples": 60, "details": "{}", "on": True, "reason": "on", "spearman": 0.4, "spearman_low": 0.2,
        "spearman_high": 0.6,
    },
    "quality_scores": {
        "score": 0.7, "technical": 0.7, "weights": [{"part": "technical", "weight": 1.0}], "n_events": 0, "n_people": 0, "n_comments": 0,
        "reason": "measures 0.70",
    },
    "recommender": {"blob": "b", "trained_at": AT, "n_examples": 1, "details": "{}"},
    "recommender_evaluation": {**_MEASURED, "metrics": _NDCG, "details": '{"people": 2}', "curve": CURVE, "curve_picture": "c.png"},
    "item_index": {"blob": "b", "n_items": 3, "n_moments": 5, "dim": 2, "kind": "flat"},
    "recommendations": {"media_ids": ["b.mp4", "c.mp4"], "scores": [0.9, 0.5], "reasons": ["like a", "liked"], "model_version": "1",
                        "whys": ["{}", "{}"]},
    "upload_delay": {"etag": "e", "uploaded_at": AT, "ready_at": AT + timedelta(minutes=1), "listed_at": None, "delay_s": 60.0},
    "recommendation_health": {"value": 1.0, "passed": True, "detail": ""},
}  # fmt: skip


def partition_of(table: str) -> str:
    return WHOLE if STEPS[table].partition == "whole" else DAY


def keys_of(table: str) -> tuple[str, ...]:
    own = {
        "feedback_events": ("e-ada", "e-bob"),
        "classifier_decision": ("1",),
        "comment_sentiment": ("e-ada", "e-bob"),
        "classifier_evaluation": ("1",),
        "recommender_evaluation": ("v",),
    }
    by_key = {"media_id": KEYS, "user_id": PEOPLE, "metric": ("users_covered", "repeats")}
    return own.get(table) or by_key.get(TABLES[table].key) or (table,)


def row(ledger: Ledger, table: str, key: str, **changes: object) -> Row:
    """The row a step would write for this key, with some columns changed."""
    planned = {item.key: item.version for item in ledger.plan(STEPS[table], DAY).todo} if STEPS[table].reads else {}
    person = {"user_id": key.removeprefix("e-")} if table == "feedback_events" else {}
    names = FIELDS.get(table, ("vector", "tokens", "score", "labels", "model", "index", "classes", "list", "value", "fingerprint", "group"))
    return Row(key, planned.get(key, "1"), {name: f"{name} of {key}" for name in names}, {**VALUES[table], **person, **changes})


def made_tables(ledger: Ledger) -> Ledger:
    """Fill every table."""
    for table in STEPS:
        ledger.append(table, partition_of(table), [row(ledger, table, key) for key in keys_of(table)])
    return ledger


def changed(ledger: Ledger, table: str, **changes: object) -> str:
    """Write the first row of a table anew with some columns changed; returns its key."""
    key = keys_of(table)[0]
    stored = ledger.rows(table, partition_of(table), ["version", "fields"]).to_pylist()[0]
    values = {**row(ledger, table, key).values, **changes}
    ledger.append(table, partition_of(table), [Row(key, stored["version"], dict(stored["fields"]), values)])
    return key
