"""What the service answers from: the newest recommender of the ledger, loaded again when the ledger has moved on."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from avrec_dag.engine import Local
from avrec_dag.errors import MissingError, SettingError, UnreachableError, WithheldError
from avrec_dag.feedback import Event, FeedbackLog, Rules
from avrec_dag.labelling import LabelLog
from avrec_dag.ledger import Kept, Ledger
from avrec_dag.limits import Limits
from avrec_dag.moderation.decisions import why_withheld
from avrec_dag.recommend.context import Context
from avrec_dag.recommend.reranking.knobs import Knobs
from avrec_dag.serving.cursors import MOST_SHOWN, Cursors, marks
from avrec_dag.serving.newest import Newest
from avrec_dag.serving.view import Loaded, View, told
from avrec_dag.storage import Blobs

if TYPE_CHECKING:
    from avrec_dag.recommend.answers import Recommendation
    from avrec_dag.recommend.live import Recommender
    from avrec_dag.recommend.profile import Profile
    from avrec_dag.recommend.queries import Example, Part
    from avrec_dag.recommend.verdict import Verdict

_LOG = logging.getLogger(__name__)
_RECENT_EVENTS = 500
NOT_HEARD = "what you did since the tables were last written is not known, as the feedback log does not answer"
DECODING_AT_ONCE = 2
"""Files that were sent are looked at in so many processes, which start with the first."""


def query_limits(limits: Limits) -> Limits:
    """Somebody waits for the answer to a query, and others for their turn."""
    return replace(limits, cpu_s=min(limits.cpu_s, 60), wall_s=min(limits.wall_s, 120))


class Live:
    """Answers over one library, for many threads.

    Args:
        ledger: Its tables.
        blobs: Its models.
        log: What people did, up to this moment.
        rules: What each kind of it says.
        knobs: What counts how much in lists, unless a request says otherwise.
        limits: What one file that is sent may cost, as far as it is less than `query_limits`.
        cursor_key: See `Cursors`.
    """

    def __init__(
        self,
        ledger: Ledger,
        blobs: Blobs,
        log: FeedbackLog,
        rules: Rules | None = None,
        knobs: Knobs | None = None,
        limits: Limits | None = None,
        cursor_key: str = "",
    ) -> None:
        self.ledger, self.blobs, self.log, self.rules, self.knobs = ledger, blobs, log, rules, knobs or Knobs()
        self.labels = LabelLog(log.url)
        self._apart = Local(DECODING_AT_ONCE, query_limits(limits or Limits()))
        self._kept = Kept(ledger.uri)
        self.newest, self.cursors = Newest(self._kept, self._load), Cursors(cursor_key.encode())

    @property
    def waits(self) -> bool:
        """Whether an answer may have to wait for another machine, or for the library to be loaded."""
        return not self.newest.ready or not self.log.local

    def recommend(self, user_id: str, k: int, knobs: Knobs, context: Context) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
        """A list that knows everything the person did until now, whatever the tables know; and notes.

        They say what of the context it could not use, and where the log does not answer, that the list knows the tables alone.
        """
        view = self.view(user_id, context)
        return told(view.loaded, view.listed(k, knobs)), view.notes

    def view(self, user_id: str, context: Context, *, exclude: Sequence[str] = (), cursor: str | None = None) -> View:
        """What a list of a person is made of now.

        Args:
            user_id: Whose.
            context: What the request says of the person.
            exclude: Items not to show.
            cursor: Where the last part of the list ended; None: from the beginning.

        Raises:
            BadCursorError: The cursor is none of this service's for this person, or too old.
        """
        shown = self.cursors.read(user_id, cursor) if cursor is not None else np.zeros(0, np.uint32)
        now = self.newest.current()
        items = now.recommender.catalogue.index.items
        before = [items[at] for at in np.flatnonzero(np.isin(now.marked, shown)).tolist()] if len(shown) else []
        usable, notes = now.recommender.usable(context)
        events = self._events(now, user_id)
        notes = notes if events is not None else (*notes, NOT_HEARD)
        return View(now, user_id, events or (), usable, notes, (*exclude, *before), shown)

    def goes_on(self, view: View, listed: Sequence["Recommendation"], k: int) -> str | None:
        """The cursor behind a list of at most k items; None where it ends."""
        shown = np.concatenate([view.shown, marks([one.media_id for one in listed])])
        return None if len(listed) < k or len(shown) >= MOST_SHOWN else self.cursors.write(view.user_id, shown)

    def similar(self, media_id: str, k: int) -> list[dict[str, Any]]:
        """Items like one item; MissingError for an unknown one."""
        now = self.newest.current()
        return told(now, now.recommender.similar(media_id, k))

    def search(
        self, text: str, k: int, *, user_id: str | None = None, taste: float | None = None, examples: Sequence["Example"] = ()
    ) -> list[dict[str, Any]]:
        """Items that fit words and examples, re-ranked by what a person likes, up to this moment, where one is named."""
        from avrec_dag.recommend.queries import Query

        now = self.newest.current()
        events = (self._events(now, user_id) if user_id is not None else None) or ()
        return told(now, now.recommender.search(Query(text, tuple(examples)), k, user_id=user_id, taste=taste, events=events))

    def profile(self, user_id: str) -> "Profile":
        """What is known of somebody, up to this moment."""
        from avrec_dag.recommend.profile import profile

        now = self.newest.current()
        return profile(now.recommender, user_id, self._events(now, user_id) or ())

    def verdict(self, user_id: str, media_id: str, k: int) -> "Verdict":
        """Why one item is or is not on somebody's list of k; MissingError for one that is in no list yet."""
        from avrec_dag.recommend.verdict import verdict

        now = self.newest.current()
        return verdict(now.recommender, user_id, media_id, k, events=self._events(now, user_id) or ())

    def example(self, content: bytes, part: "Part") -> "Example":
        """What a file that was sent asks for; MediaError where it cannot be read, is too long, or has no such part."""
        from avrec_dag.recommend import queries

        def bring(path: Path) -> None:
            path.write_bytes(content)

        encoders = self.newest.current().recommender.catalogue.index.encoders
        return queries.example(self.ledger, self.blobs.uri, "the file", part, bring, apart=self._apart, encoders=encoders)

    def close(self) -> None:
        """Stop the processes that decode, and close what was opened here."""
        self.newest.close()
        self._apart.close()
        self.labels.close()

    def _events(self, now: Loaded, user_id: str) -> list[Event] | None:
        """What somebody did lately with items that there are; None where the log does not answer, which costs nobody their list."""
        try:
            events = self.log.of_user(user_id, limit=_RECENT_EVENTS, impressions=False)
        except (UnreachableError, SettingError) as error:
            _LOG.warning("a list was made without what the person did lately: %s", error)
            return None
        return [event for event in events if not event.media_id or event.media_id in now.media]

    def item(self, media_id: str) -> dict[str, Any]:
        """What the ledger says of one upload now.

        Raises:
            MissingError: It is unknown, unreadable or deleted.
            WithheldError: Moderation keeps it back.
        """
        row = self.ledger.row("raw_media", media_id)
        if row is None or row.get("status", "ok") != "ok":
            raise MissingError(f"{media_id!r} is not in the library")
        why = why_withheld(self.ledger, media_id)
        if why is not None:
            raise WithheldError(why)
        return row

    def frames(self, media_id: str) -> str:
        """Where the frames of one item are; MissingError where there are none."""
        row = self.ledger.row("frames", self.item(media_id)["media_id"])
        if row is None or not row["n_frames"]:
            raise MissingError(f"{media_id!r} has no picture")
        return str(row["blob"])

    def unknown(self, media_ids: Sequence[str]) -> list[str]:
        """Those ids that the library does not hold."""
        media = self.newest.current().media
        # What came a moment ago is in the ledger before it is in a view.
        return sorted(one for one in set(media_ids) if one not in media and self.ledger.row("raw_media", one) is None)

    def renew(self) -> None:
        """Look at the ledger now, after something was changed in it from here; other processes see it with their next look."""
        self.newest.look()

    def _load(self) -> tuple["Recommender", Mapping[str, Mapping[str, Any]]]:
        from avrec_dag.recommend.live import Recommender

        rows = self._kept.rows("raw_media", columns=["media_id", "title", "kind", "duration_s"]).to_pylist()
        return Recommender.load(self._kept, self.blobs, self.rules, self.knobs), {row["media_id"]: row for row in rows}
