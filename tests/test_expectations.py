import math
import shutil
from dataclasses import replace
from datetime import timedelta

import pytest

from avrec_dag.expectations import RULES, Verdict, called_for, judge, read
from avrec_dag.items import Row
from avrec_dag.ledger import Ledger
from avrec_dag.schema import TABLES
from tests.made_tables import AT, CURVE, DAY, KEYS, STEPS, changed, keys_of, made_tables, partition_of, row


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return made_tables(Ledger(str(tmp_path_factory.mktemp("good"))))


@pytest.fixture
def ledger(good, tmp_path):
    shutil.copytree(good.uri, tmp_path / "store")
    return Ledger(str(tmp_path / "store"))


def verdicts(ledger: Ledger, table: str, wanted=None) -> dict[str, Verdict]:
    outside = wanted if wanted is not None or STEPS[table].needs else keys_of(table)
    return {one.rule.name: one for one in judge(read(ledger, STEPS[table], partition_of(table), outside), RULES[table])}


def broken(ledger: Ledger, table: str, wanted=None) -> dict[str, tuple[str, ...]]:
    return {name: one.offenders for name, one in verdicts(ledger, table, wanted).items() if not one.passed}


@pytest.mark.parametrize("table", TABLES)
def test_every_table_promises_rows_present_and_unique_keys_and_stops_without_them(table):
    blocking = [rule for rule in RULES[table] if rule.blocking]
    assert any("row_count" in rule.expect for rule in blocking)
    about_key = {rule.expect for rule in blocking if rule.kwargs.get("column") == TABLES[table].key}
    assert about_key == {"expect_column_values_to_not_be_null", "expect_column_values_to_be_unique"}


@pytest.mark.parametrize("table", TABLES)
def test_names_are_unique_and_expectations_exist(table):
    import great_expectations.expectations as gxe

    names = [rule.name for rule in RULES[table]]
    assert len(names) == len(set(names))
    for rule in RULES[table]:
        assert hasattr(gxe, "".join(word.capitalize() for word in rule.expect.split("_")))


@pytest.mark.parametrize("table", TABLES)
def test_a_sound_table_keeps_every_promise(good, table):
    assert broken(good, table) == {}
    assert len(verdicts(good, table)) == len(RULES[table])


@pytest.mark.parametrize("table", TABLES)
def test_an_empty_table_breaks_a_blocking_promise_where_rows_are_called_for(ledger, table):
    ledger.tombstone(table, partition_of(table), keys_of(table))
    found = verdicts(ledger, table)
    assert any(one.rule.blocking and not one.passed for one in found.values())


@pytest.mark.parametrize("table", [name for name, step in STEPS.items() if step.partition == "upload_day"])
def test_a_day_without_uploads_keeps_every_promise(good, table):
    found = list(judge(read(good, STEPS[table], "2026-03-09", () if table == "raw_media" else None), RULES[table]))
    assert len(found) == len(RULES[table])
    assert all(one.passed for one in found)


@pytest.mark.parametrize("table", [name for name, step in STEPS.items() if step.reads])
def test_a_missing_row_stops_and_is_named(ledger, table):
    key = keys_of(table)[1]
    ledger.tombstone(table, partition_of(table), [key])
    found = broken(ledger, table)
    assert found["nothing_is_missing"] == (key,)
    assert "row_count_is_as_called_for" in found


def test_a_failed_row_is_an_answer_but_many_are_told(ledger):
    ledger.append("frames", DAY, [Row("b.mp4", row(ledger, "frames", "b.mp4").version, error="no frame decodes", permanent=True)])
    found = verdicts(ledger, "frames")
    assert found["row_count_is_as_called_for"].passed
    assert found["nothing_is_missing"].passed
    assert found["few_items_failed"].offenders == ("b.mp4",)
    assert not found["few_items_failed"].passed
    assert not found["few_items_failed"].rule.blocking


def test_a_row_whose_upload_left_is_told(ledger):
    ledger.tombstone("raw_media", DAY, ["c.mp4"])
    assert broken(ledger, "frames")["nothing_is_left_over"] == ("c.mp4",)


def test_a_row_whose_parent_changed_is_told_as_stale(ledger):
    before = row(ledger, "raw_media", "a.mp4")
    ledger.append("raw_media", DAY, [Row("a.mp4", "2", {**before.fields, "video": "other bytes"}, before.values)])
    assert broken(ledger, "frames") == {"nothing_is_stale": ("a.mp4",)}


def test_uploads_that_came_meanwhile_are_told_and_do_not_stop(ledger):
    found = verdicts(ledger, "raw_media", wanted={*KEYS, "new.mp4"})
    assert found["nothing_is_missing"].offenders == ("new.mp4",)
    assert not found["nothing_is_missing"].rule.blocking
    assert found["there_are_rows_where_there_should_be"].passed


NO_BETTER = [{"model": "c", "metric": metric, "value": 0.1} for metric in ("accuracy", "majority_accuracy")]
LOSES = '{"accuracy": {"fused": 0.8, "concatenation": 0.9}}'
APART = [*NO_BETTER, {"model": "c", "metric": "near_duplicates_apart", "value": 2.0}]
NO_GAIN = [{"model": model, "metric": "ndcg@10", "value": 0.1} for model in ("blend", "popularity")]
UNITS = [("vector", [3.0, 4.0]), ("joint", [0.1, 0.1])]
BAD_PROBS = {"class_probs": [1.5, 0.25]}
STRANGER = {"kind": "perceptual", "group_id": "g", "canonical": "z.mp4"}
BREAKS = [
    ("raw_media", {"kind": "poem"}, "kind_is_known"),
    ("raw_media", {"kind": None}, "kind_is_there"),
    ("raw_media", {"duration_s": 0.0}, "what_moves_has_a_duration"),
    ("raw_media", {"width": None}, "what_is_seen_has_a_size"),
    ("raw_media", {"size_bytes": 0}, "size_bytes_is_in_range"),
    ("raw_media", {"warnings": ["broken sidecar"]}, "has_no_warnings"),
    ("feedback_events", {"kind": "stare"}, "kind_is_known"),
    ("feedback_events", {"weight": 2.0}, "weight_is_in_range"),
    ("feedback_events", {"user_id": None}, "user_id_is_there"),
    ("feedback_events", {"happened_at": AT + timedelta(days=1)}, "happened_on_its_day"),
    ("comment_sentiment", {"score": 0.9}, "score_follows_from_its_probabilities"),
    ("comment_sentiment", {"sentiment": "furious"}, "sentiment_is_known"),
    ("frames", {"n_frames": 0}, "n_frames_is_in_range"),
    ("frames", {"n_frames": 3}, "every_frame_has_its_time"),
    ("frames", {"t_s": [1.0, 0.0]}, "times_ascend"),
    ("frames", {"t_s": [-1.0, 0.0]}, "times_are_not_negative"),
    ("frames", {"method": "guess"}, "method_is_known"),
    ("frames", {"blob": None}, "blob_is_there"),
    ("audio_spectrograms", {"peak_dbfs": 90.0}, "peak_dbfs_is_in_range"),
    ("audio_spectrograms", {"clipped_share": 1.2}, "clipped_share_is_in_range"),
    ("audio_spectrograms", {"n_windows": 0}, "n_windows_is_in_range"),
    *[("frame_embeddings", {column: value}, f"{column}_length_is_in_range") for column, value in UNITS],
    *[("fused_features", {column: value}, f"{column}_length_is_in_range") for column, value in UNITS],
    ("audio_embeddings", {"vector": [math.nan, 1.0]}, "vector_length_is_there"),
    ("text_embeddings", {"vector": [1.0]}, "vectors_have_one_size"),
    ("text_embeddings", {"moment_joints": [1.0]}, "every_sentence_has_its_time_vector_and_words"),
    ("text_embeddings", {"term_moments": [0, 1]}, "every_sentence_has_its_time_vector_and_words"),
    ("screen_text", {"lines": []}, "what_is_shown_has_its_lines"),
    ("screen_text", {"lines": [{"text": "a", "start_s": 2.0, "end_s": 1.0}]}, "lines_have_their_time_and_place"),
    ("screen_text", {"lines": [{"text": "a", "start_s": 0.0, "end_s": 1.0, "left": -0.1}]}, "lines_have_their_time_and_place"),
    ("screen_text", {"lines": [{"text": "a", "confidence": 1.1}]}, "greatest_confidence_is_in_range"),
    ("screen_text", {"n_read": 3}, "frames_read_were_looked_at"),
    ("transcripts", {"text": ""}, "what_is_said_has_its_time_and_language"),
    ("transcripts", {"language": None}, "what_is_said_has_its_time_and_language"),
    ("transcripts", {"segments": [{"start_s": 2.0, "end_s": 1.0, "text": "a"}]}, "segments_ascend"),
    ("transcripts", {"words": [{"start_s": 0.0, "end_s": 1.0, "word": "a", "prob": 1.5}]}, "greatest_word_prob_is_in_range"),
    ("transcripts", {"model": None}, "model_is_there"),
    ("text_embeddings", {"model": "m@2"}, "one_encoder_made_them"),
    ("frame_embeddings", {"shot_starts_s": []}, "n_shots_is_in_range"),
    ("frame_embeddings", {"shot_ends_s": [2.0]}, "every_shot_has_its_end_and_vectors"),
    ("frame_embeddings", {"shot_ends_s": [1.0, 0.5]}, "shots_ascend"),
    ("frame_embeddings", {"shot_vectors": [0.6, 0.8]}, "every_shot_has_its_end_and_vectors"),
    ("frame_embeddings", {"shot_joints": None}, "every_shot_has_its_end_and_vectors"),
    ("frame_embeddings", {"shot_vectors": [0.6, 0.8, 0.1, 0.1]}, "shortest_of_shot_vectors_is_in_range"),
    ("frame_embeddings", {"shot_joints": [1.0, 0.0, 3.0, 1.0]}, "longest_of_shot_joints_is_in_range"),
    ("frame_embeddings", BAD_PROBS, "greatest_probability_is_in_range"),
    ("frame_embeddings", {"class_probs": [1.0]}, "every_class_has_its_probability"),
    ("fused_features", {"joint": None}, "can_be_searched"),
    ("fused_features", {"tokens": [1.0]}, "tokens_have_one_size"),
    ("fused_features", {"modalities": []}, "n_modalities_is_in_range"),
    ("moderation", {"score": 0.125}, "the_score_is_that_of_the_worst_frame"),
    ("moderation", {"t_s": [1.0]}, "every_score_has_its_time"),
    ("moderation", {"score": None}, "score_is_there"),
    ("moderation_decisions", {"decision": "maybe"}, "decision_is_known"),
    ("moderation_decisions", {"origin": "person"}, "a_person_who_decided_is_named"),
    ("moderation_decisions", {"decision": "hold"}, "few_wait_for_a_person"),
    ("technical_quality", {"score": 1.1}, "score_is_in_range"),
    ("technical_quality", {"score": None}, "score_is_there"),
    ("technical_quality", {"signals": []}, "n_signals_is_in_range"),
    ("fingerprints", {"n_frames": 7}, "n_frames_is_in_range"),
    ("duplicates", {"kind": "twin"}, "kind_is_known"),
    ("duplicates", {"similarity": 1.5}, "similarity_is_in_range"),
    ("duplicates", {"media_ids": ["x.mp4"]}, "every_copy_has_its_score_and_reason"),
    ("duplicates", {"group_id": "g"}, "who_is_in_a_group_has_a_canonical_item"),
    ("duplicates", STRANGER, "who_is_in_a_group_was_compared_with_its_canonical_item"),
    ("label_corrections", {"labelled_by": None}, "labelled_by_is_there"),
    ("label_corrections", {"labels": [f"{n}" for n in range(21)]}, "n_labels_is_in_range"),
    ("labels", {"source": None}, "source_is_there"),
    ("labels", {"origin": "hearsay"}, "origin_is_known"),
    ("labels", {"labelled_by": None}, "a_person_has_a_name_and_a_time"),
    ("classifier_candidate", {"n_examples": -1}, "n_examples_is_in_range"),
    ("classifier_decision", {"low": 0.15}, "interval_holds_the_difference"),
    ("classifier_decision", {"adopted": False, "difference": None}, "a_champion_that_stays_was_compared"),
    ("classifier_decision", {"metrics": [{"model": "champion", "metric": "accuracy", "value": 0.8}]}, "both_have_the_same_metrics"),
    ("fusion_model", {"blob": "b", "details": LOSES}, "is_used_only_where_it_wins"),
    ("content_classifier", {"n_examples": -1}, "n_examples_is_in_range"),
    ("classifier_evaluation", {"metrics": []}, "n_metrics_is_in_range"),
    ("classifier_evaluation", {"metrics": APART}, "near_duplicates_stay_on_one_side"),
    ("classifier_evaluation", {"metrics": NO_BETTER}, "beats_the_commonest_class"),
    ("content_classes", {"class_probs": [0.25, 0.75]}, "best_class_comes_first"),
    ("content_classes", {"class_probs": [0.8, 0.7]}, "sum_of_probabilities_is_in_range"),
    ("content_classes", {"method": "guess"}, "method_is_known"),
    ("interactions", {"weights": [1.0, 1.0]}, "every_item_has_its_weight"),
    ("interactions", {"weights": [-3.0]}, "least_weight_is_in_range"),
    ("aesthetic_model", {"spearman_low": -0.1}, "is_on_only_where_it_has_proven_itself"),
    ("aesthetic_model", {"reason": None}, "reason_is_there"),
    ("quality_scores", {"score": -0.1}, "score_is_in_range"),
    ("quality_scores", {"reason": None}, "reason_is_there"),
    ("quality_scores", {"score": 0.9}, "score_is_within_its_parts"),
    ("quality_scores", {"weights": [{"part": "technical", "weight": 0.9}]}, "sum_of_weights_is_in_range"),
    ("quality_scores", {"behaviour": 0.7}, "every_part_has_its_weight"),
    ("recommender", {"blob": None}, "blob_is_there"),
    ("recommender_evaluation", {"metrics": NO_GAIN}, "beats_popularity"),
    ("recommender_evaluation", {"curve": CURVE[:1]}, "every_method_is_on_the_curve"),
    ("recommender_evaluation", {"curve": [CURVE[0], {**CURVE[1], "distance": -0.1}]}, "least_of_the_curve_is_in_range"),
    ("recommender_evaluation", {"curve": [CURVE[0], {**CURVE[1], "ndcg": 1.1}]}, "greatest_ndcg_of_the_curve_is_in_range"),
    ("recommender_evaluation", {"curve": [{**CURVE[0], "distance": 0.9}, CURVE[1]]}, "variety_spreads"),
    ("item_index", {"n_items": 2}, "holds_every_item"),
    ("recommendations", {"media_ids": ["b.mp4", "b.mp4"]}, "no_item_twice"),
    ("recommendations", {"scores": [1.0, math.inf]}, "scores_are_numbers"),
    ("recommendations", {"reasons": ["one"]}, "every_item_has_its_reason"),
    ("recommendations", {"media_ids": [], "scores": [], "reasons": []}, "n_items_is_in_range"),
    ("upload_delay", {"delay_s": 7200.0}, "uploads_are_soon_recommended"),
    ("upload_delay", {"delay_s": -1.0}, "delay_s_is_in_range"),
    ("recommendation_health", {"passed": False}, "everyone_is_covered"),
]  # fmt: skip


@pytest.mark.parametrize(("table", "changes", "rule"), BREAKS, ids=[f"{table}-{rule}" for table, _, rule in BREAKS])
def test_a_broken_promise_is_found(ledger, table, changes, rule):
    key = changed(ledger, table, **changes)
    stored = read(ledger, STEPS[table], partition_of(table), None if STEPS[table].needs else keys_of(table))
    (verdict,) = judge(stored, [one for one in RULES[table] if one.name == rule])
    assert not verdict.passed
    about_the_whole = {"vectors_have_one_size", "one_encoder_made_them", "tokens_have_one_size"}
    assert rule in about_the_whole or verdict.offenders == (key,)


def test_every_table_has_a_promise_that_this_file_breaks():
    assert {table for table, _, _ in BREAKS} == set(TABLES)


def test_an_evaluation_without_people_need_not_beat_anything(ledger):
    changed(ledger, "recommender_evaluation", details='{"people": 0}', metrics=[{"model": "blend", "metric": "ndcg@10", "value": 0.0}])
    assert "beats_popularity" not in broken(ledger, "recommender_evaluation")


def test_offenders_are_named_up_to_twenty(tmp_path):
    ledger = Ledger(str(tmp_path))
    ledger.append("raw_media", DAY, [row(ledger, "raw_media", f"{n:03d}.mp4", kind="poem") for n in range(50)])
    found = broken(ledger, "raw_media", wanted={f"{n:03d}.mp4" for n in range(50)})
    assert found["kind_is_known"] == tuple(f"{n:03d}.mp4" for n in range(20))


def test_items_call_for_what_they_have(tmp_path):
    ledger = Ledger(str(tmp_path))
    silent, mute = Row("silent", "1", {"video": "v"}), Row("sound only", "1", {"audio": "a", "metadata": "m"})
    ledger.append("raw_media", DAY, [silent, mute, Row("broken", "1", error="no stream", permanent=True)])
    ledger.append("text_embeddings", DAY, [Row("sound only", "1", {"vector": "x"})])
    assert called_for(ledger, STEPS["frames"], DAY) == {"silent"}
    assert called_for(ledger, STEPS["audio_spectrograms"], DAY) == {"sound only"}
    assert called_for(ledger, STEPS["technical_quality"], DAY) == {"silent", "sound only"}
    assert called_for(ledger, STEPS["fused_features"], DAY) == {"sound only"}
    assert called_for(ledger, STEPS["labels"], "all") == set()


def test_a_table_that_is_switched_off_promises_nothing_and_keeps_no_row(ledger):
    off = replace(STEPS["frames"], off=True)
    assert called_for(ledger, off, DAY) == set()
    assert (ledger.plan(off, DAY).todo, ledger.plan(off, DAY).gone) == ([], list(KEYS))
    ledger.tombstone("frames", DAY, ledger.plan(off, DAY).gone)
    assert all(one.passed for one in judge(read(ledger, off, DAY), RULES["frames"]))


@pytest.mark.parametrize("table", [name for name, step in STEPS.items() if step.reads])
def test_what_is_called_for_agrees_with_what_the_ledger_plans(good, tmp_path, table):
    shutil.copytree(good.uri, tmp_path / "store")
    shutil.rmtree(tmp_path / "store" / "tables" / table)
    ledger = Ledger(str(tmp_path / "store"))
    step = STEPS[table]
    assert called_for(ledger, step, partition_of(table)) == {item.key for item in ledger.plan(step, partition_of(table)).todo}


def test_a_rule_that_cannot_be_evaluated_is_a_fault_and_no_verdict(good):
    from avrec_dag.expectations import Rule

    nonsense = Rule("nonsense", "expect_column_values_to_be_between", {"column": "nonsuch", "min_value": 0})
    with pytest.raises(ValueError, match=r"nonsense: .*nonsuch"):
        list(judge(read(good, STEPS["frames"], DAY), [nonsense]))
