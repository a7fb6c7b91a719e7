"""Every table: its key, its partition and its own typed columns, with units. The ledger adds its bookkeeping columns itself.

Vectors are variable-length lists of float32: while one encoder replaces another, rows of both dimensions are live in one table,
and the checks, not the file format, hold the dimension.
"""

from dataclasses import dataclass

import pyarrow as pa

VECTOR = pa.list_(pa.float32())
TIMES = pa.list_(pa.float64())
TEXTS = pa.list_(pa.string())
SIGNAL = pa.struct(
    [("name", pa.string()), ("value", pa.float64()), ("unit", pa.string()), ("score", pa.float32()), ("reason", pa.string())]
)
WEIGHT = pa.struct([("part", pa.string()), ("weight", pa.float64())])
SEGMENT = pa.struct(
    [("start_s", pa.float64()), ("end_s", pa.float64()), ("text", pa.string()), ("avg_logprob", pa.float64()),
     ("no_speech_prob", pa.float64())]
)  # fmt: skip
WORD = pa.struct([("start_s", pa.float64()), ("end_s", pa.float64()), ("word", pa.string()), ("prob", pa.float64())])
LINE = pa.struct(
    [("text", pa.string()), ("confidence", pa.float64()), ("start_s", pa.float64()), ("end_s", pa.float64()),
     ("left", pa.float64()), ("top", pa.float64()), ("right", pa.float64()), ("bottom", pa.float64())]  # shares of the picture
)  # fmt: skip
POINT = pa.struct(
    [("method", pa.string()), ("diversity", pa.float64()), ("ndcg", pa.float64()), ("ndcg_error", pa.float64()), ("distance", pa.float64()),
     ("least_distance", pa.float64()), ("coverage", pa.float64()), ("quality", pa.float64()), ("divergence", pa.float64())]
)  # fmt: skip
"""Means over people under one setting of the knobs (`recommend.reranking.curve.Point`); method `plain` is the order of the scores."""
METRIC = pa.struct([("model", pa.string()), ("metric", pa.string()), ("value", pa.float64())])


@dataclass(frozen=True)
class Table:
    """One table.

    Attributes:
        name: Asset = table = directory.
        key: The column that names a row.
        columns: The table's own typed columns, without key and bookkeeping.
    """

    name: str
    key: str
    columns: pa.Schema


def _embedding() -> list[tuple[str, pa.DataType]]:
    return [
        ("vector", VECTOR),  # unit length, mean over the item
        ("joint", VECTOR),  # unit length, in the space shared by text, picture and sound
        ("model", pa.string()),  # name@digest of the encoder
    ]


def _tagged() -> list[tuple[str, pa.DataType]]:
    return [*_embedding(), ("class_names", TEXTS), ("class_probs", VECTOR)]  # the encoder's own classes, best first


def _evaluation() -> list[tuple[str, pa.DataType]]:
    return [
        ("model_version", pa.string()),
        ("evaluated_at", pa.timestamp("us", tz="UTC")),
        ("metrics", pa.list_(METRIC)),
        ("details", pa.string()),  # JSON: per class, confusion, split sizes, seed
        ("picture", pa.string()),  # blob path of a PNG
    ]


def _labelled() -> list[tuple[str, pa.DataType]]:
    return [("labelled_by", pa.string()), ("labelled_at", pa.timestamp("us", tz="UTC"))]  # null where a sidecar speaks


def _model() -> list[tuple[str, pa.DataType]]:
    return [
        ("blob", pa.string()),  # prefix holding model.safetensors and model.json
        ("trained_at", pa.timestamp("us", tz="UTC")),
        ("n_examples", pa.int64()),
        ("details", pa.string()),  # JSON: classes, configuration, training curve
    ]


_DEFINED: list[tuple[str, str, list[tuple[str, pa.DataType]]]] = [
    ("raw_media", "media_id", [
        ("size_bytes", pa.int64()), ("etag", pa.string()), ("uploaded_at", pa.timestamp("us", tz="UTC")),
        ("kind", pa.string()),  # video, audio or image
        ("container", pa.string()), ("duration_s", pa.float64()),
        ("video_codec", pa.string()), ("width", pa.int32()), ("height", pa.int32()),  # as displayed, after rotation
        ("fps", pa.float64()), ("rotation_deg", pa.int32()),
        ("audio_codec", pa.string()), ("sample_rate_hz", pa.int32()), ("channels", pa.int32()), ("channel_layout", pa.string()),
        ("title", pa.string()), ("description", pa.string()), ("tags", TEXTS), ("labels", TEXTS), ("creator", pa.string()),
        ("language", pa.string()), ("published_at", pa.string()),
        ("source", pa.string()),  # items cut from one recording share it, so that no split separates them
        ("warnings", TEXTS),
    ]),
    ("feedback_events", "event_id", [
        ("user_id", pa.string()), ("media_id", pa.string()), ("kind", pa.string()),
        ("value", pa.float64()),  # watch: share of the duration in [0, 1]; rating: 1 to 5; else null
        ("text", pa.string()), ("creator", pa.string()),  # follow: whom, where the sender said so
        ("happened_at", pa.timestamp("us", tz="UTC")),
        ("weight", pa.float64()),  # what the event says about liking, in [-1, 1]
    ]),
    ("comment_sentiment", "event_id", [
        ("user_id", pa.string()), ("media_id", pa.string()),
        ("score", pa.float32()),  # P(positive) + P(neutral) / 2
        ("sentiment", pa.string()), ("probs", VECTOR),  # negative, neutral, positive
        ("model", pa.string()),
    ]),
    ("frames", "media_id", [
        ("n_frames", pa.int32()), ("t_s", TIMES), ("shot", pa.list_(pa.int32())),
        ("shot_starts_s", TIMES), ("width", pa.int32()), ("height", pa.int32()),
        ("method", pa.string()),  # keyframes, all or still
        ("blob", pa.string()),  # prefix holding frames.zip (NNNN.jpg, stored) and sheet.jpg
    ]),
    ("audio_spectrograms", "media_id", [
        ("sample_rate_hz", pa.int32()), ("duration_s", pa.float64()), ("n_windows", pa.int64()),
        ("peak_dbfs", pa.float64()), ("rms_dbfs", pa.float64()), ("loudness_lufs", pa.float64()),
        ("noise_floor_dbfs", pa.float64()), ("clipped_share", pa.float64()), ("silent_share", pa.float64()),
        ("true_peak_dbtp", pa.float64()), ("lead_silence_s", pa.float64()), ("trail_silence_s", pa.float64()),
        ("side_db", pa.float64()), ("balance_db", pa.float64()), ("stereo_correlation", pa.float64()),  # null unless two channels sound
        ("hum_db", pa.float64()),  # null for less than a second
        ("speech_share", pa.float64()), ("singing_share", pa.float64()), ("music_share", pa.float64()),
        ("blob", pa.string()),  # prefix holding log_mel.npy (float16 (n, 64), dB) and spectrogram.png
    ]),
    ("frame_embeddings", "media_id", [
        *_tagged(), ("n_frames", pa.int32()),
        ("shot_starts_s", TIMES), ("shot_ends_s", TIMES),  # shots of which there are frames, at most 64; (0, 0) for a still picture
        ("shot_vectors", VECTOR), ("shot_joints", VECTOR),  # unit rows of the shots, one after the other; joints null where it is
    ]),
    ("audio_embeddings", "media_id", [*_tagged(), ("n_patches", pa.int32())]),
    ("transcripts", "media_id", [
        ("language", pa.string()), ("language_prob", pa.float64()),  # ISO 639-1, of most that is said; null where nobody speaks
        ("text", pa.string()),  # empty where nobody speaks
        ("segments", pa.list_(SEGMENT)), ("words", pa.list_(WORD)),
        ("speech_s", pa.float64()),  # seconds that were listened to
        ("model", pa.string()),
    ]),
    ("screen_text", "media_id", [
        ("text", pa.string()), ("lines", pa.list_(LINE)),  # each line once; empty where nothing is to be read
        ("n_frames", pa.int32()), ("n_read", pa.int32()),  # frames looked at, and read because they differ from the one before
        ("model", pa.string()),
    ]),
    ("text_embeddings", "media_id", [
        *_embedding(), ("text", pa.string()),
        # Sentences said and shown, at most 1,024 of a kind: places in moments.KINDS, seconds, unit rows of the joint space
        ("moment_kinds", pa.list_(pa.int8())), ("moment_starts_s", TIMES), ("moment_ends_s", TIMES), ("moment_joints", VECTOR),
        # Their words: hash (moments.term_hash), number of the sentence, second
        ("terms", pa.list_(pa.uint64())), ("term_moments", pa.list_(pa.int32())), ("term_at_s", TIMES),
    ]),
    ("fused_features", "media_id", [
        ("vector", VECTOR),  # unit length
        ("joint", VECTOR),  # unit length
        ("tokens", VECTOR),  # what models learn from, (6, 512) row by row as fusion.SLOTS; zeros where missing
        ("modalities", TEXTS),
    ]),
    ("moderation", "media_id", [
        ("score", pa.float64()), ("worst_s", pa.float64()), ("frame", pa.int32()),  # the worst frame's score, second and place in frames
        ("scores", pa.list_(pa.float64())), ("t_s", pa.list_(pa.float64())), ("model", pa.string()),  # of every frame looked at
    ]),
    ("moderation_decisions", "media_id", [
        ("decision", pa.string()),  # allow, hold or block
        ("origin", pa.string()), ("reason", pa.string()),  # model, people (who reported it) or person (who decided)
        ("reports", pa.int64()),  # people who reported it
        ("score", pa.float64()), ("worst_s", pa.float64()),
        ("reviewer", pa.string()), ("reviewed_at", pa.timestamp("us", tz="UTC")),
    ]),
    ("technical_quality", "media_id", [
        ("score", pa.float32()), ("picture_score", pa.float32()), ("sound_score", pa.float32()), ("signals", pa.list_(SIGNAL)),
    ]),
    ("fingerprints", "media_id", [
        ("video_hash", pa.string()), ("audio_hash", pa.string()),  # of the packets
        ("n_frames", pa.int32()), ("n_keypoints", pa.int32()), ("sound_s", pa.float64()),  # what is remembered
        ("blob", pa.string()),  # prefix holding fingerprint.safetensors
    ]),
    ("duplicates", "media_id", [
        ("group_id", pa.string()), ("canonical", pa.string()),  # null for an item without copies
        ("kind", pa.string()),  # canonical, or what binds to the canonical item: exact, perceptual or semantic; unique: in no group
        ("similarity", pa.float64()), ("evidence", pa.string()),  # of the item with the canonical one
        ("media_ids", TEXTS), ("kinds", TEXTS), ("scores", pa.list_(pa.float64())), ("reasons", TEXTS),  # every copy of the item, verified
        ("compared", pa.string()),  # hash of what was compared
    ]),
    ("label_corrections", "media_id", [("labels", TEXTS), ("previous", TEXTS), *_labelled()]),  # no labels: none of the classes
    ("labels", "media_id", [
        ("labels", TEXTS), ("source", pa.string()), ("origin", pa.string()),  # sidecar or person
        *_labelled(),
    ]),
    ("classifier_candidate", "model_id", _model()),
    ("classifier_decision", "decision_id", [
        ("decided_at", pa.timestamp("us", tz="UTC")), ("champion_version", pa.string()), ("candidate_version", pa.string()),
        ("adopted", pa.bool_()), ("reason", pa.string()),
        # Score of the challenger less the champion's, and its 95 % interval; null where they were not compared.
        ("difference", pa.float64()), ("low", pa.float64()), ("high", pa.float64()),
        ("n_items", pa.int64()),  # held-out items both were judged on
        ("metrics", pa.list_(METRIC)),  # of champion and challenger
        ("details", pa.string()), ("picture", pa.string()),
    ]),
    ("fusion_model", "model_id", [*_model(), ("picture", pa.string())]),  # blob null where the untrained recipe is better
    ("content_classifier", "model_id", _model()),
    ("classifier_evaluation", "evaluation_id", _evaluation()),
    ("content_classes", "media_id", [
        ("labels", TEXTS), ("class_names", TEXTS), ("class_probs", VECTOR),
        ("method", pa.string()),  # classifier, none_of_these or zero_shot
    ]),
    ("interactions", "user_id", [
        ("media_ids", TEXTS), ("weights", VECTOR), ("last_s", TIMES),  # met, oldest first; faded; UNIX seconds of the latest event
        # Of the same items, what further events add to: newest explicit opinion, sum of all else in millionths, events on the last day
        ("explicit", TIMES), ("done_micro", pa.list_(pa.int64())), ("last_us", pa.list_(pa.int64())), ("n_day", pa.list_(pa.int32())),
        ("shown_ids", TEXTS), ("shown_n", pa.list_(pa.int32())), ("shown_us", pa.list_(pa.int64())),  # only ever shown
        ("creators", TEXTS),  # whom they follow
        ("newest_us", pa.int64()), ("n_minute", pa.int32()), ("n_hour", pa.int32()),  # the newest event; events in its minute and hour
        ("n_capped", pa.int64()),  # events beyond what a person can do, which weigh nothing
    ]),
    ("aesthetic_model", "model_id", [
        *_model(), ("on", pa.bool_()), ("reason", pa.string()),  # whether it may be used, and why or why not
        ("spearman", pa.float64()), ("spearman_low", pa.float64()), ("spearman_high", pa.float64()),  # on held-out creators, 99 %
    ]),
    ("quality_scores", "media_id", [
        ("score", pa.float32()),
        ("technical", pa.float32()), ("aesthetic", pa.float32()), ("behaviour", pa.float32()), ("sentiment", pa.float32()),
        ("weights", pa.list_(WEIGHT)),  # of the parts that are there; they add up to 1
        ("n_events", pa.int64()), ("n_people", pa.int64()), ("n_comments", pa.int64()), ("reason", pa.string()),
    ]),
    ("recommender", "model_id", _model()),
    ("recommender_evaluation", "evaluation_id", [
        *_evaluation(), ("curve", pa.list_(POINT)), ("curve_picture", pa.string()),  # what variety costs; blob path of a PNG, null without
    ]),
    ("item_index", "model_id", [
        ("blob", pa.string()), ("n_items", pa.int64()), ("n_moments", pa.int64()), ("dim", pa.int32()), ("kind", pa.string()),
        ("sha256", pa.string()),  # of every file, as JSON
    ]),
    ("recommendations", "user_id", [
        ("media_ids", TEXTS), ("scores", VECTOR), ("reasons", TEXTS), ("model_version", pa.string()),
        ("whys", TEXTS),  # JSON of each reason in parts: causes and what `answers.Why` holds
        ("made_at", pa.timestamp("us", tz="UTC")), ("yesterday_ids", TEXTS),  # the last list of an earlier day; null without one
    ]),
    ("upload_delay", "media_id", [
        ("etag", pa.string()), ("uploaded_at", pa.timestamp("us", tz="UTC")),
        ("ready_at", pa.timestamp("us", tz="UTC")), ("listed_at", pa.timestamp("us", tz="UTC")),  # first lists to know it, to name it
        ("delay_s", pa.float64()),  # from upload to ready; null for what was there when the table began
    ]),
    ("recommendation_health", "metric", [("value", pa.float64()), ("passed", pa.bool_()), ("detail", pa.string())]),
]  # fmt: skip

TABLES: dict[str, Table] = {name: Table(name, key, pa.schema(columns)) for name, key, columns in _DEFINED}
