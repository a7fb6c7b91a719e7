import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets import failures
from avrec_dag.errors import SettingError
from resources import logs, webhook
from resources.profiles import Settings

SECRET = "s3cr3t-path-of-the-hook"


class Hook(ThreadingHTTPServer):
    """A webhook that answers as it is told to, and keeps what it was sent."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.answers: list[int] = []
        self.got: list[dict] = []
        self.slow_s = 0.0

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{SECRET}"


class Answer(BaseHTTPRequestHandler):
    server: Hook

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append(json.loads(body))
        time.sleep(self.server.slow_s)
        status = self.server.answers.pop(0) if self.server.answers else 200
        self.send_response(status)
        if 300 <= status < 400:
            self.send_header("Location", f"http://127.0.0.1:{self.server.server_address[1]}/elsewhere")
        self.end_headers()

    do_GET = do_POST

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hook() -> Iterator[Hook]:
    server = Hook()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def post(hook: Hook, **options: float) -> str:
    return webhook.post(hook.address, {"why": "原因"}, pauses_s=(0.0, 0.0), **options)


@pytest.mark.parametrize(
    ("answers", "n_sent", "outcome"),
    [
        ([200], 1, ""),
        ([503, 500, 204], 3, ""),
        ([429, 200], 2, ""),
        ([500, 500, 500], 3, "the server says 500"),
        ([404], 1, "refused with 404"),
        ([307], 1, "refused with 307"),
    ],
)
def test_a_message_is_sent_again_where_that_may_help_and_only_to_its_address(hook, answers, n_sent, outcome):
    hook.answers = answers
    assert post(hook) == outcome
    assert hook.got == [{"why": "原因"}] * n_sent


def test_a_server_that_does_not_answer_holds_nobody_up(hook):
    hook.slow_s = 1.0
    began = time.monotonic()
    assert post(hook, whole_s=0.2) == "no answer within 0 s"
    assert time.monotonic() - began < 0.9


def test_an_address_that_leads_nowhere_is_not_told(hook):
    address = hook.address
    hook.shutdown()
    hook.server_close()
    outcome = webhook.post(address, {}, pauses_s=(0.0,))
    assert outcome == "not reached: ConnectionRefusedError"
    assert webhook.post(f"http://[{SECRET}", {}, pauses_s=()) == "refused: the address is none"


def failed(instance: dg.DagsterInstance) -> dg.RunFailureSensorContext:
    @dg.asset(partitions_def=dg.StaticPartitionsDefinition(["2026-03-02"]))
    def doomed() -> None:
        raise RuntimeError(f"cannot read postgresql://ada:pass-of-ada@db/x with {os.environ['AWS_SECRET_ACCESS_KEY']}\nor so")

    job = dg.Definitions([doomed], jobs=[dg.define_asset_job("ingest", "*")]).resolve_job_def("ingest")
    result = job.execute_in_process(partition_key="2026-03-02", instance=instance, raise_on_error=False)
    event = next(event for event in result.all_events if event.event_type is dg.DagsterEventType.RUN_FAILURE)
    return dg.build_run_status_sensor_context("failure_webhook", event, instance, result.dagster_run).for_run_failure()


def test_a_failed_run_is_told_with_its_reason_and_without_secrets(hook, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "abcdef-0123456789")
    monkeypatch.setattr(failures.graph, "SETTINGS", Settings(failure_webhook=hook.address))
    with dg.DagsterInstance.ephemeral() as instance:
        context = failed(instance)
        assert failures.failure_webhook(context) is None
        (told,) = hook.got
        assert (told["event"], told["job"], told["day"], told["run_id"]) == (
            "run_failed",
            "ingest",
            "2026-03-02",
            context.dagster_run.run_id,
        )
        assert told["why"] == "RuntimeError: cannot read postgresql://***@db/x with *** or so"
        assert told["steps"] == {"doomed": told["why"]}
        hook.answers = [404]
        skipped = failures.failure_webhook(context)
    assert isinstance(skipped, dg.SkipReason)
    assert skipped.skip_message == "the webhook was not told: refused with 404"


def test_nobody_is_told_unless_the_setting_says_whom_and_no_setting_shows_it(monkeypatch):
    assert failures.SENSORS == []
    assert SECRET not in repr(Settings.from_env({"AVREC_FAILURE_WEBHOOK": f"https://hooks.example/{SECRET}"}))
    with pytest.raises(SettingError, match="AVREC_FAILURE_WEBHOOK is no http or https address") as told:
        Settings.from_env({"AVREC_FAILURE_WEBHOOK": f"ftp://hooks.example/{SECRET}"})
    assert SECRET not in str(told.value)
    with pytest.raises(SettingError, match="AVREC_LOG is 'xml', expected one of text, json"):
        Settings.from_env({"AVREC_LOG": "xml"})


@given(st.text(max_size=60), st.text(max_size=20), st.sampled_from(logs.FORMS))
def test_a_record_is_one_line_and_holds_no_secret(before, after, form):
    record = logging.LogRecord("avrec", logging.WARNING, "", 0, "%s", (f"{before}{SECRET}{after}",), None)
    record.table = "frames"
    line = logs.Lines(form, [SECRET]).format(record)
    assert SECRET not in line
    assert "\n" not in line
    if form == "json":
        told = json.loads(line)
        assert (told["level"], told["logger"], told["table"]) == ("WARNING", "avrec", "frames")


def test_what_is_secret_is_told_from_names_and_from_addresses():
    environ = {
        "AWS_SECRET_ACCESS_KEY": "0123456789",
        "AWS_REGION": "eu-central-1",
        "AVREC_FAILURE_WEBHOOK": "https://x/y",
        "DB_PASSWORD": "ab",
    }
    assert logs.secrets_of(environ) == ["https://x/y", "0123456789"]
    signed = "s3://b/k?X-Amz-Signature=ffff&X-Amz-Expires=60 and s3://bucket/key@2"
    assert logs.redacted(signed) == "s3://b/k?X-Amz-Signature=***&X-Amz-Expires=60 and s3://bucket/key@2"


def test_the_library_logs_as_it_is_told_to():
    code = "from resources.logs import *; configure({!r}); configure({!r}); logging.getLogger('avrec').warning('a\\nb')"
    told = {}
    for form in ("", *logs.FORMS):
        done = subprocess.run([sys.executable, "-c", code.format(form, form)], capture_output=True, text=True, check=True)
        told[form] = done.stderr
    assert told[""] == "a\nb\n"  # Python's last resort
    assert told["text"].endswith("WARNING avrec: a\\nb\n")
    assert json.loads(told["json"])["message"] == "a\nb"
