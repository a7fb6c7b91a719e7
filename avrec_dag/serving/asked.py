"""What requests may hold: ids, numbers and texts in bounds; and people only whom the caller may ask about."""

from typing import Annotated

from fastapi import Depends, Path, Query, Request

from avrec_dag.serving.access import refuse_stranger

NO_CONTROL = r"^[^\x00-\x1f\x7f]+$"
_NO_NUL = r"^[^\x00]+$"
MediaId = Annotated[str, Path(min_length=1, max_length=1024, pattern=_NO_NUL, examples=["dt=2026-03-02/real/park.mp4"])]
Which = Annotated[str, Query(min_length=1, max_length=1024, pattern=_NO_NUL, examples=["dt=2026-03-02/real/park.mp4"])]
Count = Annotated[int, Query(ge=1, le=100)]
Share = Annotated[float, Query(ge=0, le=1)]


async def _own(request: Request, user_id: Annotated[str, Path(min_length=1, max_length=200, pattern=NO_CONTROL, examples=["ada"])]) -> str:
    refuse_stranger(request, user_id)
    return user_id


async def _named(request: Request, user: Annotated[str, Query(min_length=1, max_length=200, pattern=NO_CONTROL, examples=["ada"])]) -> str:
    refuse_stranger(request, user)
    return user


async def _perhaps(
    request: Request, user: Annotated[str | None, Query(min_length=1, max_length=200, pattern=NO_CONTROL, examples=["ada"])] = None
) -> str | None:
    if user is not None:
        refuse_stranger(request, user)
    return user


UserId = Annotated[str, Depends(_own)]
"""In the path, named user_id."""
Person = Annotated[str, Depends(_named)]
"""In the query, named user."""
Asker = Annotated[str | None, Depends(_perhaps)]
"""The same, where nobody needs to be named."""
