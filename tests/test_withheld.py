"""What moderation keeps back is kept back everywhere."""

import pytest
from fastapi.testclient import TestClient

from avrec_dag.errors import MissingError
from avrec_dag.items import Row
from avrec_dag.recommend import stage
from avrec_dag.serving.app import create_app
from avrec_dag.steps import WHOLE
from tests.described import described
from tests.made_library import STEPS, MadeLibrary, made_library


def decide(library: MadeLibrary, decision: str, *media_ids: str) -> None:
    values = {"decision": decision, "origin": "model", "reason": "scores 0.95"}
    library.ledger.append("moderation_decisions", WHOLE, [Row(one, decision, {"decision": decision}, values) for one in media_ids])


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> MadeLibrary:
    library = made_library(tmp_path_factory.mktemp("withheld"))
    library.refresh(measured=False)
    return library


@pytest.mark.parametrize("decision", ["hold", "block"])
def test_what_is_kept_back_is_neither_recommended_nor_similar_nor_streamed_nor_shown(library, decision):
    recommender = library.recommender()
    user = recommender.users[0]
    first = recommender.recommend(user, 10)
    victim, other = first[0].media_id, first[1].media_id
    decide(library, decision, victim)
    after = library.recommender()
    assert victim not in {one.media_id for one in after.recommend(user, 70)}
    assert victim not in {one.media_id for one in after.similar(other, 70)}
    with pytest.raises(MissingError):
        after.similar(victim, 5)
    stage.update_recommendations(library.ledger, library.blobs, STEPS["recommendations"])
    stored = library.ledger.rows("recommendations", WHOLE, ["media_ids"]).to_pylist()
    assert victim not in {one for row in stored for one in row["media_ids"]}
    with TestClient(create_app(library.ledger, library.blobs, source=None, log=library.log)) as client:  # type: ignore[arg-type]
        described(client)
        for what in ("stream", "sheet", "still"):
            answer = client.get(f"/v1/media/{victim}/{what}")
            assert answer.status_code == 451
            assert "moderation" in answer.json()["detail"]
        listed = client.get(f"/v1/recommendations/{user}", params={"k": 70}).json()
        assert victim not in {one["media_id"] for one in listed}
    decide(library, "allow", victim)
    assert library.recommender().recommend(user, 10)[0].media_id == victim
