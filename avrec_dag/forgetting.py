"""Taking a person out of the logs and the tables, wherever it is asked: by `avrec erase` or over HTTP."""

from contextlib import closing

from avrec_dag.experiments.impressions import ImpressionLog
from avrec_dag.feedback import FeedbackLog
from avrec_dag.feedback.erasing import Traces
from avrec_dag.labelling import LabelLog
from avrec_dag.ledger import Ledger, Subject
from avrec_dag.moderation.reviews import ReviewLog


def out_of_logs(url: str, subject: Subject) -> None:
    """Delete what the logs hold of an item or a person; labels and decisions a person gave stay without their name.

    Args:
        url: Of the logs.
        subject: Who or what.

    Raises:
        UnreachableError: The server of the logs does not answer; what was deleted until then is.
    """
    feedback, labels, reviews, shown = FeedbackLog(url), LabelLog(url), ReviewLog(url), ImpressionLog(url)
    with closing(feedback), closing(labels), closing(reviews), closing(shown):
        if subject.kind == "item":
            feedback.remove_item(subject.key)
            labels.remove_item(subject.key)
            shown.remove_item(subject.key)
        else:
            feedback.erase_user(subject.key)
            labels.anonymise(subject.key)
            reviews.anonymise(subject.key)
            shown.erase_user(subject.key)


def forget_person(ledger: Ledger, url: str, user_id: str) -> tuple[dict[str, int], dict[str, int]]:
    """Take a person out of the logs and of every table; tombstones stay for seven days, so that runs at work bring nothing back.

    Models that serve stay as they are until their next fit, and Dagster's records are not looked at: `avrec erase --user` does both.

    Args:
        ledger: The tables.
        url: Of the logs.
        user_id: Who.

    Returns:
        Place -> what it held before, and the same after, each read from it.
    """
    subject = Subject("person", user_id)
    before = _found(ledger, url, subject)
    out_of_logs(url, subject)  # first: what a log holds comes back into the tables
    ledger.erase(subject, keep_keys=True)
    return before, _found(ledger, url, subject)


def _found(ledger: Ledger, url: str, subject: Subject) -> dict[str, int]:
    with closing(Traces(url)) as logs:
        found = {**ledger.traces(subject), **logs.of_person(subject.key)}
    return {place: n for place, n in found.items() if n}
