"""The description of the service (OpenAPI 3.1): every route with its answers, its errors and examples, at /openapi.json."""

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from avrec_dag.feedback import Event
from avrec_dag.serving.access import required
from avrec_dag.serving.answers import ANSWERS
from avrec_dag.serving.problems import Problem, possible

TAGS = {
    "answers": "What to watch next, what is alike, and search.",
    "feedback": "What people do. An event that was answered is on disk.",
    "media": "Items, their pictures and their bytes.",
    "people": "What is known of a person, why an item is on their list, and forgetting them.",
    "labels": "What items are, as people say.",
    "operator": "What those who run a library look at.",
    "service": "Whether the service can answer.",
}
_ABOUT = """What should this person watch next?

Ids of items hold slashes and may hold anything but NUL: percent-encode them. Errors are problem details (RFC 9457) with a sentence in
`detail` that says what to do."""
_ANYWHERE, _CLOSED = (400, 408, 413, 421, 422, 500, 503), (401, 403, 429)
"""Errors that any route may answer with, and those of routes that want a key."""
_KEY = {
    "type": "http",
    "scheme": "bearer",
    "description": "A key of `avrec keys add`, or a token of the provider; not wanted before the first key",
}
_TEMPLATE = "#/components/schemas/{model}"


def describe(app: FastAPI) -> None:
    """Have the service describe itself with its errors."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def _document(app: FastAPI) -> dict[str, Any]:
    tags = [{"name": name, "description": about} for name, about in TAGS.items()]
    made = get_openapi(title="avrec", version=app.version, description=_ABOUT, routes=app.routes, tags=tags)
    schemas: dict[str, Any] = made.setdefault("components", {}).setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    for model in (Problem, Event, *dict.fromkeys(ANSWERS.values())):
        own = model.model_json_schema(ref_template=_TEMPLATE)
        schemas.update(own.pop("$defs", {}))
        schemas[model.__name__] = own
    made["components"]["securitySchemes"] = {"key": _KEY}
    for path, operations in made["paths"].items():
        for method, operation in operations.items():
            scope = required(method.upper(), path)
            operation["responses"] = _with_errors(
                operation["responses"], (*_ANYWHERE, *(_CLOSED if scope else ()), *([404] if "{" in path else []))
            )
            operation["security"] = [{"key": []}, {}] if scope else []
            if scope:
                operation["description"] += f"\n\nWhere there are keys, it wants one with the scope `{scope}`."
            if model := ANSWERS.get(operation["operationId"]):
                items = {"$ref": _TEMPLATE.format(model=model.__name__)}
                operation["responses"]["200"]["content"]["application/json"]["schema"] = {"type": "array", "items": items}
    _untuple(schemas)
    return made


def _untuple(schema: Any) -> None:
    """Say of a tuple that it is a list of so many of its types: what reads such descriptions seldom knows `prefixItems`."""
    parts: list[Any] = list(schema.values()) if isinstance(schema, dict) else schema if isinstance(schema, list) else []
    if isinstance(schema, dict) and isinstance(schema.get("prefixItems"), list):
        schema["items"] = {"anyOf": schema.pop("prefixItems")}
    for part in parts:
        _untuple(part)


def _with_errors(responses: Mapping[str, Any], errors: Sequence[int]) -> dict[str, Any]:
    """What a route answers, with the errors that any may give; pydantic's own 422 is not what this service sends."""
    own = {status: told for status, told in responses.items() if status != "422"}
    return dict(sorted({**{str(status): told for status, told in possible(*errors).items()}, **own}.items()))
