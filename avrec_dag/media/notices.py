"""Notices of S3 about uploads, from a queue (SQS): hints where to look, nothing more."""

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

from avrec_dag import s3

_CALLS, _AT_ONCE = 10, 10
log = logging.getLogger("avrec")


@dataclass(frozen=True)
class Notices:
    """A queue that a bucket notifies, directly, through SNS or through EventBridge.

    What is lost, late or there twice does no harm: the listing is the truth.

    Attributes:
        url: Of the queue; empty: there is none.
        uri: The uploads; notices about other buckets or prefixes are taken off and not followed.
    """

    url: str
    uri: str

    def receive(self) -> tuple[list[str], list[str]]:
        """Keys below the library that something happened to, and what `acknowledge` wants; at most 100 notices.

        A queue that does not answer is logged, and gives none.
        """
        keys: list[str] = []
        handles: list[str] = []
        for _ in range(_CALLS if self.url else 0):
            messages = self._call("receive_message", MaxNumberOfMessages=_AT_ONCE).get("Messages", [])
            for message in messages:
                keys += self._keys(message.get("Body", ""))
                handles.append(message["ReceiptHandle"])
            if len(messages) < _AT_ONCE:
                break
        return keys, handles

    def acknowledge(self, handles: Sequence[str]) -> None:
        """Take notices off the queue; one that stays comes again, and does no harm."""
        for start in range(0, len(handles) if self.url else 0, _AT_ONCE):
            entries = [{"Id": str(i), "ReceiptHandle": handle} for i, handle in enumerate(handles[start : start + _AT_ONCE])]
            self._call("delete_message_batch", Entries=entries)

    def _call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return getattr(s3.client("sqs"), operation)(QueueUrl=self.url, **parameters)
        except (BotoCoreError, ClientError) as error:
            log.warning("AVREC_UPLOADS_QUEUE: %s does not answer (%s); uploads are found by listing alone", self.url, error)
            return {}

    def _keys(self, body: str) -> Iterator[str]:
        bucket, _, prefix = self.uri.removeprefix("s3://").partition("/")
        prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        for where, key in _objects(body):
            if where == bucket and key.startswith(prefix):
                yield key.removeprefix(prefix)


def _objects(body: str) -> Iterator[tuple[str, str]]:
    """(bucket, key) of every object that a notice names; none for what is no notice, such as s3:TestEvent."""
    try:
        told = json.loads(body)
        if isinstance(told, dict) and isinstance(told.get("Message"), str):  # SNS
            told = json.loads(told["Message"])
        for record in told.get("Records", ()):
            yield str(record["s3"]["bucket"]["name"]), unquote_plus(str(record["s3"]["object"]["key"]))
        if "detail" in told:  # EventBridge, which does not encode keys
            yield str(told["detail"]["bucket"]["name"]), str(told["detail"]["object"]["key"])
    except (ValueError, TypeError, KeyError, AttributeError):
        log.debug("not a notice of S3: %.200s", body)
