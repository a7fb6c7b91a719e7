"""How the service is asked: the key, typed answers, refusals, and what is sent again."""

import time
from collections.abc import Mapping
from functools import cache
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
from pydantic import TypeAdapter, ValidationError

from avrec_dag.errors import AvrecError
from avrec_dag.serving.problems import Problem

_T = TypeVar("_T")
_LATER = (429, 503)
_MOST_WAIT_S = 30.0


class ProblemError(AvrecError):
    """The service refused.

    Attributes:
        problem: What it said.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(f"{problem.status} {problem.title}: {problem.detail}")
        self.problem = problem


class Asking:
    """Asks one service; safe for threads.

    Args:
        address: Such as `http://127.0.0.1:8000`.
        key: Of `avrec keys add`, or a token; None: the service is open.
        timeout_s: For one answer.
        patience: How often a request that is told to come later (429, 503) is sent again, after what the service says to wait; every
            operation may be sent twice without harm.
        transport: What carries requests, for tests.
    """

    def __init__(
        self,
        address: str,
        key: str | None = None,
        *,
        timeout_s: float = 30.0,
        patience: int = 2,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self.http = httpx.Client(base_url=address, headers=headers, timeout=timeout_s, transport=transport, follow_redirects=False)
        self._patience = patience

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the connections."""
        self.http.close()

    def got(self, kind: type[_T], path: str, given: Mapping[str, object] | None = None) -> _T:
        """A typed answer to GET; `given` goes into the query."""
        return read(kind, self.sent("GET", path, given))

    def sent(self, method: str, path: str, given: Mapping[str, object] | None = None, **more: Any) -> httpx.Response:
        """An answer that is no refusal.

        Raises:
            ProblemError: The service refused.
            httpx.TransportError: It does not answer.
        """
        asked: Any = {name: value for name, value in (given or {}).items() if value is not None and value != []}
        for left in range(self._patience, -1, -1):
            answer = self.http.request(method, path, params=asked, **more)
            if answer.status_code not in _LATER or not left:
                break
            told = answer.headers.get("retry-after", "1")
            time.sleep(min(_MOST_WAIT_S, float(told) if told.isdecimal() else 1.0))
        if answer.status_code >= 400:
            raise ProblemError(_problem(answer))
        return answer


@cache
def _reader(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def read(kind: type[_T], answer: httpx.Response) -> _T:
    """An answer as what it is; ValidationError where it is not."""
    return _reader(kind).validate_json(answer.content)


def _problem(answer: httpx.Response) -> Problem:
    """What the service says, or what somebody between says in its place."""
    try:
        return Problem.model_validate_json(answer.content)
    except ValidationError:
        told = answer.text[:300] or "no reason was given"
        return Problem(title=answer.reason_phrase, status=answer.status_code, detail=told, instance=answer.url.path)
