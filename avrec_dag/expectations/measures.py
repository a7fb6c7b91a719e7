"""What can be measured of a row, so that rules need no lists: vector lengths, counts, orders, sums."""

from collections.abc import Mapping

_PAIRED = {"every_class_has_its_probability": "len(class_names) = len(class_probs)"}
_PROBABILITIES = {"least_probability": "list_min(class_probs)", "greatest_probability": "list_max(class_probs)"}
HEALTH: Mapping[str, str] = {
    "users_covered": "everyone_is_covered", "short_lists": "lists_are_long_enough", "repeats": "nothing_is_repeated",
    "already_met": "nothing_was_met_before", "copies_of_met": "nothing_is_a_copy_of_what_was_met", "blocked": "nothing_is_blocked",
    "unknown_items": "every_item_is_in_the_index", "outdated_lists": "lists_are_fresh", "concentration_gini": "places_are_not_held_by_few",
    "top_share": "the_most_shown_leave_room", "drift": "lists_are_steady", "catalogue_coverage": "the_library_is_used",
    "mean_quality": "quality_is_kept", "explored_places": "exploration_keeps_to_its_share", "new_items_shown": "new_items_are_shown",
}  # fmt: skip
"""Metric of `recommendation_health` -> the promise that it decides on."""
_METRICS = {"n_metrics": "len(metrics)"}
_NDCG = "list_max([m.value FOR m IN metrics IF m.metric = 'ndcg@10' AND m.model {which} 'popularity'])"


def _length(column: str) -> dict[str, str]:
    return {f"{column}_length": f"sqrt(list_inner_product({column}, {column}))", f"{column}_size": f"len({column})"}


def _rows_length(column: str, like: str) -> dict[str, str]:
    """The shortest and the longest of unit rows that lie one after the other."""
    row = f"{column}[1 + i * len({like}):(i + 1) * len({like})]"
    lengths = f"[sqrt(list_inner_product({row}, {row})) FOR i IN range(len(shot_starts_s))]"
    return {f"shortest_of_{column}": f"list_min({lengths})", f"longest_of_{column}": f"list_max({lengths})"}


_SHOTS = {
    "n_shots": "len(shot_starts_s)",
    "every_shot_has_its_end_and_vectors": "len(shot_ends_s) = len(shot_starts_s) AND len(shot_vectors) = len(shot_starts_s) * len(vector) "
    "AND coalesce(len(shot_joints), 0) = len(shot_starts_s) * coalesce(len(joint), 0)",
    "shots_ascend": "shot_starts_s[1] >= 0 AND shot_starts_s = list_sort(shot_starts_s) AND isfinite(shot_ends_s[-1]) "
    "AND len([i FOR i IN range(1, len(shot_starts_s) + 1) IF shot_ends_s[i] < shot_starts_s[i]]) = 0",
    **_rows_length("shot_vectors", "vector"),
    **_rows_length("shot_joints", "joint"),
}

MEASURES: Mapping[str, Mapping[str, str]] = {
    "raw_media": {
        "what_moves_has_a_duration": "kind = 'image' OR duration_s > 0",
        "what_is_seen_has_a_size": "kind = 'audio' OR coalesce(width, 0) > 0 AND coalesce(height, 0) > 0",
        "has_no_warnings": "coalesce(len(warnings), 0) = 0",
    },
    "feedback_events": {
        "happened_on_its_day": "strftime(happened_at AT TIME ZONE 'UTC', '%Y-%m-%d') = partition",
        "is_about_an_item_or_a_creator": "media_id <> '' OR kind = 'follow' AND creator IS NOT NULL",
    },
    "comment_sentiment": {
        "sum_of_probabilities": "list_sum(probs)",
        "score_follows_from_its_probabilities": "len(probs) = 3 AND abs(score - probs[3] - probs[2] / 2) < 1e-5",
    },
    "frames": {
        "every_frame_has_its_time": "len(t_s) = n_frames AND len(shot) = n_frames",
        "times_ascend": "t_s = list_sort(t_s) AND shot_starts_s = list_sort(shot_starts_s)",
        "times_are_not_negative": "t_s[1] >= 0 AND isfinite(t_s[-1])",
    },
    "frame_embeddings": {**_length("vector"), **_length("joint"), **_PAIRED, **_PROBABILITIES, **_SHOTS},
    "audio_embeddings": {**_length("vector"), **_length("joint"), **_PAIRED, **_PROBABILITIES},
    "transcripts": {
        "what_is_said_has_its_time_and_language": "(text = '') = (len(segments) = 0) AND (text = '' OR language IS NOT NULL)",
        "segments_ascend": "[s.start_s FOR s IN segments] = list_sort([s.start_s FOR s IN segments]) "
                           "AND len([s FOR s IN segments IF s.start_s < 0 OR s.end_s < s.start_s OR NOT isfinite(s.end_s)]) = 0",
        "least_word_prob": "list_min([w.prob FOR w IN words])", "greatest_word_prob": "list_max([w.prob FOR w IN words])",
    },
    "screen_text": {
        "what_is_shown_has_its_lines": "(text = '') = (len(lines) = 0)",
        "lines_have_their_time_and_place": "len([x FOR x IN lines IF x.start_s < 0 OR x.end_s < x.start_s OR NOT isfinite(x.end_s) "
            "OR x.left < 0 OR x.top < 0 OR x.right > 1 OR x.bottom > 1 OR x.right < x.left OR x.bottom < x.top]) = 0",
        "least_confidence": "list_min([x.confidence FOR x IN lines])", "greatest_confidence": "list_max([x.confidence FOR x IN lines])",
        "frames_read_were_looked_at": "n_read BETWEEN 1 AND n_frames",
    },
    "text_embeddings": {
        **_length("vector"), **_length("joint"),
        "every_sentence_has_its_time_vector_and_words":
            "len(moment_starts_s) = len(moment_ends_s) AND len(moment_starts_s) = len(moment_kinds) "
            "AND len(moment_joints) = len(moment_starts_s) * len(joint) AND len(terms) = len(term_moments) "
            "AND len(terms) = len(term_at_s) AND coalesce(list_max(term_moments) < len(moment_starts_s), true)",
    },
    "fused_features": {
        **_length("vector"), **_length("joint"), "tokens_size": "len(tokens)", "n_modalities": "len(modalities)",
        "can_be_searched": "joint IS NOT NULL",
    },
    "moderation": {
        "every_score_has_its_time": "len(scores) = len(t_s) AND len(scores) > 0", "least_score": "list_min(scores)",
        "the_score_is_that_of_the_worst_frame": "score = list_max(scores) AND list_contains(t_s, worst_s)",
    },
    "moderation_decisions": {"a_person_who_decided_is_named": "(origin = 'person') = (reviewer IS NOT NULL AND reviewed_at IS NOT NULL)"},
    "technical_quality": {"n_signals": "len(signals)"},
    "duplicates": {
        "every_copy_has_its_score_and_reason": "len(media_ids) = len(scores) AND len(kinds) = len(scores) AND len(reasons) = len(scores)",
        "who_is_in_a_group_has_a_canonical_item": "(group_id IS NULL) = (kind = 'unique') AND (group_id IS NULL) = (canonical IS NULL)",
        "who_is_in_a_group_was_compared_with_its_canonical_item": "kind IN ('unique', 'canonical') OR list_contains(media_ids, canonical)",
        "group_size": "len(media_ids) + 1",
    },
    "label_corrections": {"n_labels": "len(labels)"},
    "labels": {
        "n_labels": "len(labels)",
        "a_person_has_a_name_and_a_time": "origin <> 'person' OR labelled_by IS NOT NULL AND labelled_at IS NOT NULL",
    },
    "classifier_decision": {
        "interval_holds_the_difference": "difference IS NULL OR low <= difference AND difference <= high",
        "a_champion_that_stays_was_compared": "adopted OR difference IS NOT NULL AND n_items > 0",
        "both_have_the_same_metrics": "difference IS NULL OR list_sort([m.metric FOR m IN metrics IF m.model = 'champion']) "
                                      "= list_sort([m.metric FOR m IN metrics IF m.model = 'challenger'])",
    },
    "fusion_model": {
        "is_used_only_where_it_wins": "blob IS NULL OR (details->>'$.accuracy.fused')::DOUBLE > "
                                      "(details->>'$.accuracy.concatenation')::DOUBLE",
    },
    "classifier_evaluation": {
        **_METRICS, "accuracy": "[m.value FOR m IN metrics IF m.metric = 'accuracy'][1]",
        "beats_the_commonest_class": "[m.value FOR m IN metrics IF m.metric = 'accuracy'][1] "
                                     "> [m.value FOR m IN metrics IF m.metric = 'majority_accuracy'][1]",
        # Of the newest evaluation alone: what an older model's split did wrong is past.
        "near_duplicates_apart": "CASE WHEN evaluated_at = max(evaluated_at) OVER () "
                                 "THEN [m.value FOR m IN metrics IF m.metric = 'near_duplicates_apart'][1] END",
    },
    "content_classes": {
        **_PAIRED, **_PROBABILITIES, "n_classes": "len(class_names)", "sum_of_probabilities": "list_sum(class_probs)",
        "best_class_comes_first": "class_probs = list_reverse_sort(class_probs)",
    },
    "interactions": {
        "every_item_has_its_weight": "len(media_ids) = len(weights) AND len(media_ids) = len(last_s) AND len(media_ids) = len(done_micro)",
        "what_was_only_shown_was_not_met": "len(list_intersect(media_ids, shown_ids)) = 0",
        "no_item_twice": "len(media_ids) = len(list_distinct(media_ids))",
        "least_weight": "list_min(weights)", "greatest_weight": "list_max(weights)",
    },
    "aesthetic_model": {"is_on_only_where_it_has_proven_itself": "NOT \"on\" OR coalesce(blob IS NOT NULL AND spearman_low > 0, false)"},
    "quality_scores": {
        "every_part_has_its_weight": "len(weights) = (technical IS NOT NULL)::INT + (aesthetic IS NOT NULL)::INT "
                                     "+ (behaviour IS NOT NULL)::INT + (sentiment IS NOT NULL)::INT",
        "sum_of_weights": "list_sum([w.weight FOR w IN weights])",
        "score_is_within_its_parts": "score BETWEEN least(technical, aesthetic, behaviour, sentiment) - 1e-5 "
                                     "AND greatest(technical, aesthetic, behaviour, sentiment) + 1e-5",
    },
    "recommender_evaluation": {
        **_METRICS, "least_metric": "list_min([m.value FOR m IN metrics])",
        "every_method_is_on_the_curve": "(details->>'$.people')::BIGINT = 0 "
        "OR coalesce(len(list_distinct([p.method FOR p IN curve])) > 1, true)",
        "least_of_the_curve": "list_min([least(p.ndcg, p.distance, p.coverage, p.quality) FOR p IN curve])",
        "greatest_ndcg_of_the_curve": "list_max([p.ndcg FOR p IN curve])",
        "variety_spreads": "coalesce(list_max([p.distance FOR p IN curve IF p.method <> 'plain']) "
                           ">= [p.distance FOR p IN curve IF p.method = 'plain'][1], true)",
        "beats_popularity": f"(details->>'$.people')::BIGINT = 0 OR {_NDCG.format(which='<>')} > {_NDCG.format(which='=')}",
    },
    "recommendation_health": {rule: f"metric <> '{metric}' OR passed" for metric, rule in HEALTH.items()},
    "recommendations": {
        "n_items": "len(media_ids)", "every_item_has_its_score": "len(media_ids) = len(scores)",
        "every_item_has_its_reason": "len(media_ids) = len(reasons)", "no_item_twice": "len(media_ids) = len(list_distinct(media_ids))",
        "scores_are_numbers": "len(list_filter(scores, lambda x: NOT isfinite(x))) = 0",
    },
}  # fmt: skip
"""Table -> measured column -> SQL over the row's own columns."""
