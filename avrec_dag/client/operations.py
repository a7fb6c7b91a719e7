"""The operations of the service, one method each, by the names of its description."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

import httpx

from avrec_dag.client.asking import Asking, read
from avrec_dag.feedback import Event
from avrec_dag.serving.answers import Match, Recommended
from avrec_dag.serving.facts import Item
from avrec_dag.serving.feedback import Kept
from avrec_dag.serving.labels import Noted, Question
from avrec_dag.serving.overview.library import Duplicates, Inventory, Moderation, OfClass, Quality
from avrec_dag.serving.overview.models import Freshness, Models
from avrec_dag.serving.people import Explained, Forgotten, Profile
from avrec_dag.serving.session import Session
from avrec_dag.understanding.outside import Part


@dataclass(frozen=True)
class Recommendations:
    """A list.

    Attributes:
        items: Best first.
        notes: What of the request it could not use.
        cursor: Where it goes on; None where nothing is left.
    """

    items: list[Recommended]
    notes: tuple[str, ...]
    cursor: str | None


class Client(Asking):
    """Asks one service; see `Asking` for how."""

    def recommendations(
        self,
        user_id: str,
        *,
        k: int = 10,
        cursor: str | None = None,
        exclude: Sequence[str] = (),
        interest: Sequence[str] = (),
        **knobs: object,
    ) -> Recommendations:
        """What a person should watch next; knobs, language and referrer by their names in the query."""
        given = {"k": k, "cursor": cursor, "exclude": list(exclude), "interest": list(interest), **knobs}
        answer = self.sent("GET", f"/v1/recommendations/{quote(user_id, safe='')}", given)
        notes = tuple(json.loads(answer.headers.get("avrec-notes", "[]")))
        return Recommendations(read(list[Recommended], answer), notes, answer.headers.get("avrec-cursor"))

    def similar(self, media_id: str, *, k: int = 10) -> list[Match]:
        """Items like one item."""
        return self.got(list[Match], f"/v1/similar/{quote(media_id)}", {"k": k})

    def search_by_words(self, words: str, *, k: int = 10, user: str | None = None, taste: float | None = None) -> list[Match]:
        """Items that fit a few words; with a user re-ranked by taste."""
        return self.got(list[Match], "/v1/search", {"q": words, "k": k, "user": user, "taste": taste})

    def search_by_file(
        self,
        content: bytes,
        kind: str,
        *,
        part: Part = "clip",
        words: str = "",
        k: int = 10,
        user: str | None = None,
        taste: float | None = None,
    ) -> list[Match]:
        """Items that fit a picture, a sound or a clip of a media type such as `image/png`, and perhaps words with it."""
        given = {"part": part, "q": words, "k": k, "user": user, "taste": taste}
        return read(list[Match], self.sent("POST", "/v1/search", given, content=content, headers={"Content-Type": kind}))

    def feedback(self, events: Sequence[Event]) -> Kept:
        """Keep up to 1,000 events; what `added` counts is on disk."""
        return read(
            Kept, self.sent("POST", "/v1/feedback", json={"events": [one.model_dump(mode="json", exclude_none=True) for one in events]})
        )

    def item(self, media_id: str) -> Item:
        """Everything known of one item."""
        return self.got(Item, _media(media_id))

    def stream(self, media_id: str, first: int = 0, last: int | None = None) -> bytes:
        """Bytes of an upload, from one to another, both included; from S3 where they are there."""
        span = {"Range": f"bytes={first}-{'' if last is None else last}"}
        answer = self.sent("GET", _media(media_id, "stream"), headers=span)
        if answer.status_code != 307:
            return answer.content
        with httpx.Client(timeout=self.http.timeout) as elsewhere:  # without our key, which is no business of the bucket's
            return elsewhere.get(answer.headers["location"], headers=span).raise_for_status().content

    def sheet(self, media_id: str) -> bytes:
        """The contact sheet of one item, JPEG."""
        return self.sent("GET", _media(media_id, "sheet")).content

    def still(self, media_id: str) -> bytes:
        """The middle frame of one item, JPEG."""
        return self.sent("GET", _media(media_id, "still")).content

    def spectrogram(self, media_id: str) -> bytes:
        """The spectrogram of one item's sound, PNG."""
        return self.sent("GET", _media(media_id, "spectrogram")).content

    def captions(self, media_id: str) -> str:
        """What is said in one item, WebVTT."""
        return self.sent("GET", _media(media_id, "captions")).text

    def profile(self, user_id: str) -> Profile:
        """What is known of a person."""
        return self.got(Profile, f"/v1/users/{quote(user_id, safe='')}")

    def forget(self, user_id: str) -> Forgotten:
        """Forget a person, in log and tables."""
        return read(Forgotten, self.sent("DELETE", f"/v1/users/{quote(user_id, safe='')}"))

    def explain(self, user: str, media_id: str, *, k: int = 10) -> Explained:
        """Why an item is, or is not, on a person's list of k."""
        return self.got(Explained, "/v1/explain", {"user": user, "media_id": media_id, "k": k})

    def unsure(self, *, limit: int = 20) -> list[Question]:
        """The items it would help most to label."""
        return self.got(list[Question], "/v1/labels", {"limit": limit})

    def label(self, media_id: str, labels: Sequence[str], *, by: str | None = None) -> Noted:
        """Say what an item is; no labels: of none of the classes."""
        return read(Noted, self.sent("POST", "/v1/labels", json={"media_id": media_id, "labels": list(labels), "by": by}))

    def begin_session(self) -> Session:
        """Whose key this is; the cookie that comes with it is for browsers."""
        return read(Session, self.sent("POST", "/v1/session"))

    def end_session(self) -> None:
        """Forget that cookie."""
        self.sent("DELETE", "/v1/session")

    def library(self) -> Inventory:
        """What was uploaded, by day."""
        return self.got(Inventory, "/v1/operator/library")

    def classes(self) -> tuple[OfClass, ...]:
        """The largest classes."""
        return self.got(tuple[OfClass, ...], "/v1/operator/classes")

    def quality(self) -> Quality:
        """How quality is distributed."""
        return self.got(Quality, "/v1/operator/quality")

    def duplicates(self) -> Duplicates:
        """Copies."""
        return self.got(Duplicates, "/v1/operator/duplicates")

    def moderation(self) -> Moderation:
        """What moderation decided."""
        return self.got(Moderation, "/v1/operator/moderation")

    def models(self) -> Models:
        """The models that serve."""
        return self.got(Models, "/v1/operator/models")

    def freshness(self) -> Freshness:
        """How new every table is."""
        return self.got(Freshness, "/v1/operator/freshness")

    def health(self) -> dict[str, str]:
        """Whether it lives."""
        return self.got(dict[str, str], "/healthz")

    def ready(self) -> bool:
        """Whether an answer waits for nothing."""
        return self.http.get("/readyz").status_code == 200

    def metrics(self) -> str:
        """Counts for Prometheus."""
        return self.sent("GET", "/metrics").text


def _media(media_id: str, what: str = "") -> str:
    return f"/v1/media/{quote(media_id)}{f'/{what}' if what else ''}"
