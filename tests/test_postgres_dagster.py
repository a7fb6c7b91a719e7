from datetime import UTC, datetime

import dagster as dg
import pytest

from avrec_dag.feedback import Event
from resources.feedback import Feedback
from resources.profiles import Settings


@pytest.mark.filterwarnings("ignore:Property `ScheduleDefinition.environment_vars`:DeprecationWarning")
def test_no_password_reaches_what_dagster_keeps_and_shows(postgres, monkeypatch):
    from dagster._core.remote_representation.external_data import RepositorySnap

    from avrec_dag import definitions

    monkeypatch.setenv("AVREC_FEEDBACK", postgres.url(postgres.new_database()))
    settings = Settings.from_env()
    assert postgres.password not in repr(settings)
    built = definitions.build(settings.resources())
    assert postgres.password not in dg.serialize_value(RepositorySnap.from_def(built.get_repository_def()))
    seen = []

    @dg.asset
    def asks(feedback: Feedback) -> None:
        seen.append(feedback.log.add([Event(user_id="ann", media_id="a.mp4", kind="like", happened_at=datetime(2026, 1, 5, tzinfo=UTC))]))

    assert dg.materialize([asks], resources={"feedback": settings.resources()["feedback"]}).success
    assert seen == [1]
