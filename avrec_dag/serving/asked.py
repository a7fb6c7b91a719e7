"""What requests may hold: ids, numbers and texts in bounds."""

from typing import Annotated

from fastapi import Path, Query

_NO_CONTROL = r"^[^\x00-\x1f\x7f]+$"
_NO_NUL = r"^[^\x00]+$"
UserId = Annotated[str, Path(min_length=1, max_length=200, pattern=_NO_CONTROL, examples=["ada"])]
Person = Annotated[str, Query(min_length=1, max_length=200, pattern=_NO_CONTROL, examples=["ada"])]
MediaId = Annotated[str, Path(min_length=1, max_length=1024, pattern=_NO_NUL, examples=["dt=2026-03-02/real/park.mp4"])]
Which = Annotated[str, Query(min_length=1, max_length=1024, pattern=_NO_NUL, examples=["dt=2026-03-02/real/park.mp4"])]
Count = Annotated[int, Query(ge=1, le=100)]
Share = Annotated[float, Query(ge=0, le=1)]
