"""Notices of a bucket through a queue: S3 and SQS of moto over HTTP, as SeaweedFS has no notifications."""

import json
import urllib.request

import boto3
import pytest
from moto.server import ThreadedMotoServer

from avrec_dag import s3
from avrec_dag.media.notices import Notices
from tests.made_daemon import watching

ODD = "dt=2026-03-02/猫 +&%20.mp4"


@pytest.fixture
def queue(monkeypatch):
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    values = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_REGION": "us-east-1",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    sqs = boto3.client("sqs", region_name="us-east-1")
    url = sqs.create_queue(QueueName="uploads")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    s3.client().create_bucket(Bucket="films")
    events = {"QueueConfigurations": [{"QueueArn": arn, "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"]}]}
    s3.client().put_bucket_notification_configuration(Bucket="films", NotificationConfiguration=events)
    yield url
    urllib.request.urlopen(urllib.request.Request(f"http://{host}:{port}/moto-api/reset", method="POST")).close()
    server.stop()


def left(url: str) -> int:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    told = boto3.client("sqs", region_name="us-east-1").get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return sum(int(told[name]) for name in names)


def test_a_bucket_says_what_was_uploaded_and_the_test_notice_is_no_upload(queue):
    s3.put(f"films/up/{ODD}", b"1")
    s3.put("films/elsewhere.mp4", b"1")
    keys, handles = Notices(queue, "s3://films/up").receive()
    assert set(keys) == {ODD}
    assert len(handles) >= 2
    Notices(queue, "s3://films/up").acknowledge(handles)
    assert left(queue) == 0


def send(url: str, body: object) -> None:
    boto3.client("sqs", region_name="us-east-1").send_message(QueueUrl=url, MessageBody=body if isinstance(body, str) else json.dumps(body))


def test_notices_come_through_sns_and_eventbridge_too_and_rubbish_is_taken_off(queue):
    where = {"bucket": {"name": "films"}, "object": {"key": "a+b.mp4"}}
    for body in (
        {"Message": json.dumps({"Records": [{"s3": where}]})},
        {"detail": where},
        "",
        "{",
        "[1]",
        {"Records": [1]},
        {"Message": "x"},
    ):
        send(queue, body)
    keys, handles = Notices(queue, "s3://films").receive()
    assert sorted(keys) == ["a b.mp4", "a+b.mp4"]
    assert len(handles) >= 7


def test_a_queue_that_does_not_answer_gives_no_notices(queue, monkeypatch, caplog):
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    assert Notices(f"{queue}x", "s3://films").receive() == ([], [])
    assert "uploads are found by listing alone" in caplog.text
    assert Notices("", "s3://films").receive() == ([], [])


def test_an_old_day_is_looked_at_when_the_queue_names_it_and_the_notice_is_taken_off_one_tick_later(queue, tmp_path):
    for number in range(6):
        s3.put(f"films/dt=2026-02-0{number + 1}/a.mp4", b"1")
    with watching("s3://films", str(tmp_path / "store"), 1_900_000_000.0, queue=queue) as daemon:
        assert left(queue) == 0
        s3.put("films/dt=2026-02-02/late.mp4", b"1")
        assert daemon.tick(dies_after=-1) == []
        assert left(queue) >= 1  # that tick's cursor was never stored
        boto3.client("sqs", region_name="us-east-1").purge_queue(QueueUrl=queue)
        s3.put("films/dt=2026-02-03/late.mp4", b"1")
        assert daemon.tick() == ["2026-02-03"]
        assert left(queue) >= 1
        daemon.tick()
        assert left(queue) == 0
        daemon.tick(passes_s=601)
        assert daemon.settle() + len(daemon.ran) >= 2  # the lost notice did no harm
        assert {"dt=2026-02-02/late.mp4", "dt=2026-02-03/late.mp4"} <= daemon.stored().keys()
