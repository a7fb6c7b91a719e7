"""The promises of every table, as data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from avrec_dag.expectations.measures import HEALTH
from avrec_dag.feedback import KINDS
from avrec_dag.quality.parts import PARTS
from avrec_dag.quality.sentiment import SENTIMENTS
from avrec_dag.schema import TABLES

MOST_FAILED = 0.2
"""Share of a partition's items that may fail before someone is told."""
MOST_HELD = 0.1
"""Share of the decided items that may wait for a person before someone is told."""
MOST_CAPPED = 0.01
"""Share of the people whose events may pass the limits of what a person can do before someone is told."""
MOST_DELAY_S = 3600.0
"""Seconds from upload to lists that know it: more than a tenth of the items above it, and someone is told."""
_UNIT = (0.999, 1.001)
_ANSWER = Literal["ok", "failed", "missing", "left over", "stale"]


@dataclass(frozen=True)
class Rule:
    """One promise.

    Attributes:
        name: A statement, as the check is called.
        expect: The expectation, as Great Expectations names it.
        kwargs: Its arguments; `{"$PARAMETER": name}` stands for one of `Stored.facts`.
        blocking: Whether what follows would compute nonsense without it; otherwise breaking it warns.
        on: `rows`: the good rows; `answers`: one row per item that there should be or is, with its `status`.
    """

    name: str
    expect: str
    kwargs: Mapping[str, object] = field(default_factory=dict)
    blocking: bool = True
    on: Literal["rows", "answers"] = "rows"


def _rule(name: str, expect: str, *, blocking: bool = True, **kwargs: object) -> Rule:
    return Rule(name, expect, kwargs, blocking)


def _present(*columns: str) -> list[Rule]:
    return [_rule(f"{column}_is_there", "expect_column_values_to_not_be_null", column=column) for column in columns]


def _between(column: str, low: float | None, high: float | None, *, blocking: bool = True) -> Rule:
    bounds = {name: value for name, value in (("min_value", low), ("max_value", high)) if value is not None}
    return _rule(f"{column}_is_in_range", "expect_column_values_to_be_between", blocking=blocking, column=column, **bounds)


def _shares(*columns: str) -> list[Rule]:
    return [_between(column, 0, 1) for column in columns]


def _among(column: str, *values: str) -> Rule:
    return _rule(f"{column}_is_known", "expect_column_values_to_be_in_set", column=column, value_set=list(values))


def _true(column: str, *, blocking: bool = True, mostly: float = 1.0) -> Rule:
    return _rule(column, "expect_column_values_to_be_in_set", blocking=blocking, column=column, value_set=[True], mostly=mostly)


def _no(status: _ANSWER, name: str, *, blocking: bool = False, mostly: float = 1.0) -> Rule:
    kwargs = {"column": "status", "value_set": [status], "mostly": mostly}
    return Rule(name, "expect_column_values_to_not_be_in_set", kwargs, blocking, "answers")


_COUNTED = _rule("row_count_is_as_called_for", "expect_table_row_count_to_equal", value={"$PARAMETER": "called_for"})
_NOT_EMPTY = _rule("there_are_rows_where_there_should_be", "expect_table_row_count_to_be_between", min_value={"$PARAMETER": "at_least"})
_FEW_FAILED = _no("failed", "few_items_failed", mostly=1 - MOST_FAILED)
_NONE_LEFT = _no("left over", "nothing_is_left_over")
_NONE_STALE = _no("stale", "nothing_is_stale")


def _keyed(table: str) -> list[Rule]:
    key = TABLES[table].key
    return [*_present(key), _rule(f"{key}_is_unique", "expect_column_values_to_be_unique", column=key)]


def _every_item(table: str, *own: Rule, planned: bool = True) -> tuple[Rule, ...]:
    """Of a table with a row for everything its parents call for; `planned`: by `Ledger.plan`, which knows what is stale."""
    missing = _no("missing", "nothing_is_missing", blocking=True)
    return (_COUNTED, missing, _NONE_LEFT, *([_NONE_STALE] if planned else []), _FEW_FAILED, *_keyed(table), *own)


def _from_outside(table: str, *own: Rule) -> tuple[Rule, ...]:
    """Of a table filled from outside: what came in while the run was under way is missing, and no reason to stop."""
    return (_NOT_EMPTY, _no("missing", "nothing_is_missing"), _FEW_FAILED, *_keyed(table), *own)


def _some(table: str, *own: Rule) -> tuple[Rule, ...]:
    """Of a table whose rows are models, measurements or histories."""
    return (_NOT_EMPTY, _FEW_FAILED, *_keyed(table), *own)


def _embedding(*, tagged: bool) -> Sequence[Rule]:
    one_encoder = _rule(
        "one_encoder_made_them", "expect_column_unique_value_count_to_be_between", blocking=False, column="model", max_value=1
    )
    one_size = _rule("vectors_have_one_size", "expect_column_unique_value_count_to_be_between", column="vector_size", max_value=1)
    tags = [_true("every_class_has_its_probability"), _between("least_probability", 0, 1), _between("greatest_probability", 0, 1)]
    return [*_unit("vector"), _between("joint_length", *_UNIT), one_size, *_present("model"), one_encoder, *(tags if tagged else ())]


def _unit(column: str) -> list[Rule]:
    # A vector with a NaN has a null length, which every range lets pass.
    return [*_present(f"{column}_length"), _between(f"{column}_length", *_UNIT)]


_SHOTS = (
    *_present("n_shots"), _between("n_shots", 1, 64), _true("every_shot_has_its_end_and_vectors"), _true("shots_ascend"),
    *(_between(f"{end}_of_shot_{rows}", *_UNIT) for end in ("shortest", "longest") for rows in ("vectors", "joints")),
)  # fmt: skip
_CLASSES = (_true("every_class_has_its_probability"), *_shares("least_probability", "greatest_probability"))

RULES: Mapping[str, tuple[Rule, ...]] = {
    "raw_media": _from_outside(
        "raw_media", *_present("kind", "size_bytes", "etag", "uploaded_at"), _among("kind", "video", "audio", "image"),
        _between("size_bytes", 1, None), _between("duration_s", 0, None), _true("what_moves_has_a_duration"),
        _true("what_is_seen_has_a_size"), _true("has_no_warnings", blocking=False, mostly=0.8),
    ),
    "feedback_events": _from_outside(
        "feedback_events", *_present("user_id", "kind", "weight", "happened_at"), _among("kind", *KINDS),
        _true("is_about_an_item_or_a_creator"),
        _between("weight", -1, 1), _true("happened_on_its_day"),
    ),
    "comment_sentiment": _every_item(
        "comment_sentiment", *_present("user_id", "media_id", "score", "model"), *_shares("score"), _among("sentiment", *SENTIMENTS),
        _between("sum_of_probabilities", 0.999, 1.001), _true("score_follows_from_its_probabilities"),
    ),
    "frames": _every_item(
        "frames", *_present("blob", "n_frames"), _between("n_frames", 1, None), _between("width", 1, None), _between("height", 1, None),
        _among("method", "keyframes", "all", "still"), _true("every_frame_has_its_time"), _true("times_ascend"),
        _true("times_are_not_negative"),
    ),
    "audio_spectrograms": _every_item(
        "audio_spectrograms", *_present("blob", "n_windows"), _between("n_windows", 1, None), _between("sample_rate_hz", 1000, 768_000),
        _between("peak_dbfs", None, 40), _between("loudness_lufs", None, 40, blocking=False), _between("true_peak_dbtp", None, 46),
        _between("stereo_correlation", -1, 1), _between("hum_db", 0, 120),
        *_shares("clipped_share", "silent_share", "speech_share", "singing_share", "music_share"),
    ),
    "frame_embeddings": _every_item("frame_embeddings", *_embedding(tagged=True), _between("n_frames", 1, None), *_SHOTS),
    "audio_embeddings": _every_item("audio_embeddings", *_embedding(tagged=True), _between("n_patches", 1, None)),
    "transcripts": _every_item(
        "transcripts", *_present("text", "speech_s", "model"), _between("speech_s", 0, None),
        *_shares("language_prob", "least_word_prob", "greatest_word_prob"), _true("what_is_said_has_its_time_and_language"),
        _true("segments_ascend"),
    ),
    "screen_text": _every_item(
        "screen_text", *_present("text", "model"), _true("what_is_shown_has_its_lines"), _true("lines_have_their_time_and_place"),
        *_shares("least_confidence", "greatest_confidence"), _true("frames_read_were_looked_at"),
    ),
    "text_embeddings": _every_item(
        "text_embeddings", *_embedding(tagged=False), *_present("text"), _true("every_sentence_has_its_time_vector_and_words"),
    ),
    "fused_features": _every_item(
        "fused_features", *_unit("vector"), _between("joint_length", *_UNIT), _between("n_modalities", 1, 3),
        _rule("vectors_have_one_size", "expect_column_unique_value_count_to_be_between", column="vector_size", max_value=1),
        _rule("tokens_have_one_size", "expect_column_unique_value_count_to_be_between", column="tokens_size", max_value=1),
        _true("can_be_searched", blocking=False, mostly=0.8),
    ),
    "moderation": _every_item(
        "moderation", *_present("score", "worst_s", "model"), *_shares("score", "least_score"), _true("every_score_has_its_time"),
        _true("the_score_is_that_of_the_worst_frame"),
    ),
    "moderation_decisions": _every_item(
        "moderation_decisions", *_present("decision", "origin", "reason"), _among("decision", "allow", "hold", "block"),
        _among("origin", "model", "people", "person"), _between("score", 0, 1), _true("a_person_who_decided_is_named"),
        _rule("few_wait_for_a_person", "expect_column_values_to_be_in_set", blocking=False, column="decision",
              value_set=["allow", "block"], mostly=1 - MOST_HELD),
        planned=False,
    ),
    "technical_quality": _every_item(
        "technical_quality", *_present("score"), *_shares("score", "picture_score", "sound_score"), _between("n_signals", 1, None),
    ),
    "fingerprints": _every_item("fingerprints", *_present("blob"), _between("n_frames", 0, 6), _between("sound_s", 0, 60)),
    "duplicates": _every_item(
        "duplicates", *_present("kind", "compared"), _among("kind", "unique", "canonical", "exact", "perceptual", "semantic"),
        _between("similarity", 0, 1), _true("every_copy_has_its_score_and_reason"), _true("who_is_in_a_group_has_a_canonical_item"),
        _true("who_is_in_a_group_was_compared_with_its_canonical_item"), _between("group_size", 1, 50, blocking=False), planned=False,
    ),
    "label_corrections": _from_outside("label_corrections", *_present("labelled_by", "labelled_at"), _between("n_labels", 0, 20)),
    "labels": _every_item(
        "labels", *_present("source", "origin"), _between("n_labels", 0, 20), _among("origin", "sidecar", "person"),
        _true("a_person_has_a_name_and_a_time"),
    ),
    "classifier_candidate": _some("classifier_candidate", *_present("trained_at", "details"), _between("n_examples", 0, None)),
    "classifier_decision": _some(
        "classifier_decision", *_present("decided_at", "candidate_version", "adopted", "reason"), _between("difference", -1, 1),
        _true("interval_holds_the_difference"), _true("a_champion_that_stays_was_compared"), _true("both_have_the_same_metrics"),
    ),
    "fusion_model": _some(
        "fusion_model", *_present("trained_at", "details"), _between("n_examples", 0, None), _true("is_used_only_where_it_wins"),
    ),
    "content_classifier": _some("content_classifier", *_present("trained_at", "details"), _between("n_examples", 0, None)),
    "classifier_evaluation": _some(
        "classifier_evaluation", *_present("model_version", "evaluated_at"), _between("n_metrics", 1, None), *_shares("accuracy"),
        _true("beats_the_commonest_class", blocking=False),
        _rule("near_duplicates_stay_on_one_side", "expect_column_values_to_be_between", column="near_duplicates_apart", max_value=0),
    ),
    "content_classes": _every_item(
        "content_classes", *_CLASSES, _between("n_classes", 1, None), _between("sum_of_probabilities", 0, 1.001),
        _among("method", "classifier", "none_of_these", "zero_shot"), _true("best_class_comes_first"),
    ),
    "interactions": _some(
        "interactions", _no("missing", "nothing_is_missing", blocking=True), _true("every_item_has_its_weight"), _true("no_item_twice"),
        _between("least_weight", -1, 1), _between("greatest_weight", -1, 1), _true("what_was_only_shown_was_not_met"),
        _rule("few_people_do_more_than_a_person_can", "expect_column_values_to_be_between", blocking=False, column="n_capped", max_value=0,
              mostly=1 - MOST_CAPPED),
    ),
    "aesthetic_model": _some(
        "aesthetic_model", *_present("on", "reason", "trained_at"), _between("n_examples", 0, None), _between("spearman", -1, 1),
        _true("is_on_only_where_it_has_proven_itself"),
    ),
    "quality_scores": _every_item(
        "quality_scores", *_present("score", "technical", "reason"), *_shares("score", *PARTS), _between("n_events", 0, None),
        _between("n_people", 0, None), _between("n_comments", 0, None), _true("every_part_has_its_weight"),
        _between("sum_of_weights", 0.999, 1.001), _true("score_is_within_its_parts"), planned=False,
    ),
    "recommender": _some("recommender", *_present("blob", "trained_at"), _between("n_examples", 0, None)),
    "recommender_evaluation": _some(
        "recommender_evaluation", *_present("model_version", "evaluated_at"), _between("n_metrics", 1, None),
        _between("least_metric", 0, None), _true("beats_popularity", blocking=False), _true("every_method_is_on_the_curve"),
        _between("least_of_the_curve", 0, None), _between("greatest_ndcg_of_the_curve", 0, 1), _true("variety_spreads", blocking=False),
    ),
    "item_index": _some(
        "item_index", *_present("blob"), _between("n_items", 0, None), _between("dim", 0, None),
        _rule("holds_every_item", "expect_column_values_to_be_between", blocking=False, column="n_items",
              min_value={"$PARAMETER": "items"}),
    ),
    "recommendations": _some(
        "recommendations", _no("missing", "nothing_is_missing", blocking=True), _NONE_LEFT, _true("every_item_has_its_score"),
        _true("every_item_has_its_reason"), _true("no_item_twice"), _true("scores_are_numbers"),
        _between("n_items", 1, None, blocking=False),
    ),
    "upload_delay": _some(
        "upload_delay", *_present("uploaded_at", "ready_at"), _between("delay_s", 0, None),
        _rule("uploads_are_soon_recommended", "expect_column_values_to_be_between", blocking=False, column="delay_s",
              max_value=MOST_DELAY_S, mostly=0.9),
    ),
    "recommendation_health": _some(
        "recommendation_health", *_present("value", "passed"),
        *(_true(rule, blocking=metric not in ("catalogue_coverage", "mean_quality", "new_items_shown")) for metric, rule in HEALTH.items()),
    ),
}  # fmt: skip
