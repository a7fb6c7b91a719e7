"""The service while the server of the feedback log is away."""

import json
import time
from datetime import UTC, datetime

from fastapi.testclient import TestClient

from avrec_dag.feedback import FeedbackLog
from avrec_dag.serving.app import create_app
from tests.described import described
from tests.small_library import DAY, Small

ITEM = f"dt={DAY}/bars-0.mp4"


def test_a_like_is_refused_honestly_lists_go_on_and_the_same_like_counts_once_afterwards(postgres, small: Small, monkeypatch, caplog):
    monkeypatch.setattr("avrec_dag.feedback.database._AWAY_S", 0.2)
    log = FeedbackLog(postgres.url(postgres.new_database()))
    batch = {"events": [{"user_id": "ann", "media_id": ITEM, "kind": "like", "happened_at": datetime.now(UTC).isoformat()}]}
    with TestClient(create_app(small.ledger, small.blobs, small.source, log)) as client:
        described(client)
        assert client.post("/v1/feedback", json=batch).json() == {"added": 1, "known": 0, "refused": []}
        liked = client.get("/v1/recommendations/ann")
        assert "avrec-notes" not in liked.headers
        postgres.stop()
        try:
            away = client.post("/v1/feedback", json={"events": [*batch["events"], {**batch["events"][0], "kind": "share"}]})
            lists = client.get("/v1/recommendations/ann")
            found = client.get("/v1/search", params={"q": "bars", "user": "ann"})
        finally:
            postgres.start()
        time.sleep(0.3)
        again = client.post("/v1/feedback", json={"events": [*batch["events"], {**batch["events"][0], "kind": "share"}]})
        assert "avrec-notes" not in client.get("/v1/recommendations/ann").headers
    assert away.status_code == 503 and away.headers["retry-after"] == "5"
    assert "send the same batch again" in away.json()["detail"]
    assert lists.status_code == found.status_code == 200 and lists.json() and found.json()
    assert "feedback log does not answer" in json.loads(lists.headers["avrec-notes"])[0]
    assert again.json() == {"added": 1, "known": 1, "refused": []}
    assert "were not kept" in caplog.text and postgres.password not in caplog.text
    log.close()
