import shutil
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from avrec_dag.errors import MissingError, SettingError
from avrec_dag.expectations.measures import HEALTH
from avrec_dag.feedback import Event, FeedbackLog
from avrec_dag.feedback.stage import update_feedback, update_interactions
from avrec_dag.ledger import Ledger
from avrec_dag.recommend import stage
from avrec_dag.recommend.judging import update_health
from avrec_dag.recommend.live import Recommender
from avrec_dag.recommend.reranking.knobs import METHODS
from avrec_dag.recommend.training import update_recommender
from avrec_dag.storage import Blobs
from tests.made_library import STEPS, MadeLibrary, made_items, made_library, made_vectors

LATER = datetime(2026, 1, 9, tzinfo=UTC)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[Path, dict]:
    root = tmp_path_factory.mktemp("library")
    library = made_library(root)
    outcomes = library.refresh()
    library.log.close()
    return root, outcomes


@pytest.fixture
def library(finished, tmp_path) -> MadeLibrary:
    """A finished library of one's own."""
    shutil.copytree(finished[0], tmp_path / "copy")
    store = str(tmp_path / "copy" / "store")
    return MadeLibrary(Ledger(store), Blobs(store), FeedbackLog(f"sqlite:///{tmp_path}/copy/feedback.db"), made_items())


def lists(library: MadeLibrary) -> dict[str, list[str]]:
    rows = library.ledger.rows("recommendations", columns=["media_ids"]).to_pylist()
    return {row["user_id"]: row["media_ids"] for row in rows}


def like(user_id: str, media_id: str) -> Event:
    return Event(user_id=user_id, media_id=media_id, kind="like", happened_at=LATER)


def unseen(library: MadeLibrary, user_id: str) -> str:
    """An item of a class this person has no item of on top of the list, so that liking it must show."""
    return lists(library)[user_id][-1]


def test_everybody_with_a_history_gets_twenty_items_of_the_library_none_twice_none_met(library):
    met = {row["user_id"]: row["media_ids"] for row in library.ledger.rows("interactions", columns=["media_ids"]).to_pylist()}
    chosen = lists(library)
    assert len(chosen) == 40
    assert set(chosen) == set(met)
    for user_id, media_ids in chosen.items():
        assert len(set(media_ids)) == len(media_ids) == 20
        assert not set(media_ids) & set(met[user_id])


def test_lists_come_with_scores_reasons_and_the_model_that_made_them(library):
    version = Recommender.load(library.ledger, library.blobs).model_version
    for row in library.ledger.rows("recommendations").to_pylist():
        assert len(row["scores"]) == len(row["reasons"]) == len(row["media_ids"])
        assert all(0 < score < 1 for score in row["scores"])
        assert all(row["reasons"])
        assert row["model_version"] == version


def test_a_second_refresh_computes_nothing(library):
    assert {table: outcome.computed for table, outcome in library.refresh().items() if outcome.computed} == {}


def test_replaying_all_events_changes_nothing(library):
    everything = [event for day in library.log.days() for event in library.log.events(day)]
    assert library.log.add(everything) == 0
    assert sum(outcome.computed for outcome in library.refresh().values()) == 0


def test_one_like_changes_that_persons_list_and_writes_one_history(library):
    before = lists(library)
    user_id = "made-user-005"
    liked = unseen(library, user_id)
    library.log.add([like(user_id, liked)])
    outcomes = library.refresh(measured=False)
    assert outcomes["feedback_events"].computed == 1
    assert outcomes["interactions"].computed == 1
    assert outcomes["recommender"].computed == 1
    assert liked not in lists(library)[user_id]
    assert lists(library)[user_id] != before[user_id]


def test_without_a_new_model_only_the_person_who_acted_is_recomputed(library):
    library.log.add([like("made-user-005", unseen(library, "made-user-005"))])
    update_feedback(library.ledger, library.log, STEPS["feedback_events"], "2026-01-09")
    update_interactions(library.ledger, STEPS["interactions"])
    outcome = stage.update_recommendations(library.ledger, library.blobs, STEPS["recommendations"])
    assert (outcome.computed, outcome.rows) == (1, 40)


def test_an_item_that_leaves_is_in_no_index_no_history_and_no_list(library):
    popular = max(made_items(), key=lambda item: sum(item[0] in chosen for chosen in lists(library).values()))[0]
    library.remove(popular)
    outcomes = library.refresh()
    assert outcomes["item_index"].notes["items"] == 69
    assert popular not in library.recommender().catalogue.index.items
    histories = library.ledger.rows("interactions", columns=["media_ids"])["media_ids"].to_pylist()
    assert not any(popular in media_ids for media_ids in histories)
    assert not any(popular in media_ids for media_ids in lists(library).values())
    assert all(library.ledger.rows("recommendation_health", columns=["passed"])["passed"].to_pylist())


def test_a_removed_item_is_not_shown_even_before_the_index_is_rebuilt(library):
    leaving = lists(library)["made-user-001"][0]
    library.remove(leaving)
    shown = [one.media_id for one in library.recommender().recommend("made-user-001", 60)]
    assert leaving not in shown


def test_a_new_item_is_recommended_before_anybody_has_met_it(library):
    new = [(f"car/new-{n}.mp4", "car", 0.9) for n in range(3)]
    vectors = made_vectors([*made_items(), *new])[-3:]
    library.put(new, vectors)
    library.refresh(measured=False)
    shown = {media_id for media_ids in lists(library).values() for media_id in media_ids}
    assert {media_id for media_id, _, _ in new} <= shown


def test_a_changed_vector_rebuilds_the_index_and_leaves_the_model_alone(library):
    item = made_items()[:1]
    library.put(item, made_vectors(item, seed=9))
    outcomes = library.refresh(measured=False)
    assert (outcomes["item_index"].computed, outcomes["recommender"].computed) == (1, 0)


def test_an_erased_person_leaves_every_table(library):
    library.log.erase_user("made-user-007")
    library.refresh(measured=False)
    for table in ("feedback_events", "interactions", "recommendations"):
        assert "made-user-007" not in library.ledger.rows(table, columns=["user_id"])["user_id"].to_pylist()


def test_an_empty_log_at_another_address_does_not_wipe_the_events(library, tmp_path):
    wrong = FeedbackLog(f"sqlite:///{tmp_path}/other.db")
    with pytest.raises(SettingError, match="AVREC_FEEDBACK"):
        update_feedback(library.ledger, wrong, STEPS["feedback_events"], "2026-01-01")
    wrong.close()


def test_a_late_event_reaches_its_own_day(library):
    late = Event(user_id="made-user-002", media_id=made_items()[0][0], kind="view", happened_at=datetime(2026, 1, 1, 23, 59, tzinfo=UTC))
    library.log.add([late])
    outcome = update_feedback(library.ledger, library.log, STEPS["feedback_events"], "2026-01-01")
    assert outcome.computed == 1
    assert late.event_id in library.ledger.rows("feedback_events", "2026-01-01", columns=[])["event_id"].to_pylist()


def test_on_held_out_behaviour_the_blend_beats_popularity_twice_over_and_each_of_its_parts(finished):
    notes = finished[1]["recommender_evaluation"].notes
    assert notes["ndcg@10_blend"] >= 2 * notes["ndcg@10_popularity"]
    assert notes["ndcg@10_served"] >= 2 * notes["ndcg@10_popularity"]
    assert notes["ndcg@10_blend"] >= max(notes["ndcg@10_content"], notes["ndcg@10_linear"]) - 0.02


def test_measurements_are_kept_with_their_picture_and_intervals(library):
    library.log.add([like("made-user-005", unseen(library, "made-user-005"))])
    library.refresh()
    assert library.ledger.rows("recommender_evaluation").num_rows == 1  # it learned on, and was not fitted from nothing
    update_recommender(library.ledger, library.blobs, STEPS["recommender"], anew=True)
    library.refresh()
    rows = library.ledger.rows("recommender_evaluation").to_pylist()
    assert len(rows) == 2
    assert library.blobs.get(rows[0]["picture"]).startswith(b"\x89PNG")
    assert library.blobs.get(rows[0]["curve_picture"]).startswith(b"\x89PNG")
    curve = {(point["method"], point["diversity"]): point for point in rows[0]["curve"]}
    assert set(curve) == {("plain", 0.0), *((method, step) for method in METHODS for step in (0.2, 0.4, 0.6, 0.8))}
    assert all(curve[method, 0.8]["distance"] > curve["plain", 0.0]["distance"] for method in METHODS)
    assert 0 < curve["plain", 0.0]["ndcg"] <= 1
    values = {(metric["model"], metric["metric"]): metric["value"] for metric in rows[0]["metrics"]}
    for model in ("popularity", "content", "linear", "blend", "served"):
        assert values[model, "ndcg@10_low"] <= values[model, "ndcg@10"] <= values[model, "ndcg@10_high"]
        assert np.isfinite([values[model, name] for name in ("map", "mrr", "coverage@10", "novelty_bits@10", "quality@10")]).all()
    assert values["served", "quality@10"] > values["blend", "quality@10"]
    assert values["served", "intra_list_distance@10"] > values["blend", "intra_list_distance@10"]


def test_health_of_stored_lists_passes_and_a_check_names_each_figure(library):
    rows = {row["metric"]: row for row in library.ledger.rows("recommendation_health").to_pylist()}
    assert set(rows) == set(HEALTH)
    assert all(row["passed"] for row in rows.values()), rows
    outcome = update_health(library.ledger, library.blobs, STEPS["recommendation_health"])
    assert outcome.computed == 0
    assert library.blobs.get(outcome.blobs["use of the library"]).startswith(b"\x89PNG")


def test_a_library_nobody_has_used_still_has_a_model_an_index_and_an_answer(tmp_path):
    library = made_library(tmp_path, n_items=12, n_users=0)
    outcomes = library.refresh()
    assert outcomes["recommendations"].rows == 0
    best = max(library.items, key=lambda item: item[2])[0]
    assert library.recommender().recommend("anybody", 3)[0].media_id == best
    library.log.close()


def test_before_anything_is_computed_the_answer_says_what_to_do(tmp_path):
    with pytest.raises(MissingError, match="materialise"):
        Recommender.load(Ledger(str(tmp_path)), Blobs(str(tmp_path)))
