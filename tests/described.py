"""A client that holds every answer to the service's own description."""

import re
from typing import TypeVar

import httpx

_Client = TypeVar("_Client", bound=httpx.Client)


def described(client: _Client) -> _Client:
    """The client, which from now on takes no answer with a status that the description does not name."""
    paths = client.get("/openapi.json").json()["paths"]
    # Ids hold slashes, so that the shorter address of two fits what the longer is of.
    places = sorted(paths, key=lambda one: (one.count("/"), one.count("{") == 0, len(one)), reverse=True)
    patterns = {one: re.compile(re.sub(r"\\\{\w+\\\}", ".+", re.escape(one))) for one in places}

    def judge(answer: httpx.Response) -> None:
        method, path = answer.request.method.lower(), answer.request.url.path
        place = next((one for one in places if patterns[one].fullmatch(path)), None)
        operation = paths[place].get("get" if method == "head" else method) if place else None
        assert operation is None or str(answer.status_code) in operation["responses"], f"{method} {path}: {answer.status_code}"

    client.event_hooks = {"response": [judge]}
    return client
