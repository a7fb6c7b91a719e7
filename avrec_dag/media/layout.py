"""Where the days of a library of uploads lie, so that one day can be listed without the others."""

from collections.abc import Mapping
from dataclasses import dataclass

from avrec_dag.media.listing import Upload
from avrec_dag.media.uploads import MediaSource, day_in_key

MOST_FOLDERS = 4
"""So many folders above the days are looked into, one request each; what is below further ones is listed whole."""


@dataclass(frozen=True)
class Layout:
    """What one look at the top folders shows.

    Attributes:
        days: Day (YYYY-MM-DD) -> the folders `.../dt=YYYY-MM-DD/` that it has.
        others: Folders whose keys need not tell their day: they can only be listed whole.
        loose: Files directly in the folders above.
    """

    days: Mapping[str, tuple[str, ...]]
    others: tuple[str, ...]
    loose: tuple[Upload, ...]


def layout(source: MediaSource) -> Layout:
    """Look for the folders of days, from the top; together with `others` and `loose` they hold every upload.

    Raises:
        SettingError: The folder or bucket is missing or does not answer.
    """
    days: dict[str, list[str]] = {}
    others: list[str] = []
    loose: list[Upload] = []
    waiting = [""]
    for looks, folder in enumerate(waiting):
        level = source.level(folder) if looks < MOST_FOLDERS else None
        if level is None or not level.complete:
            others.append(folder)
            continue
        loose += level.uploads
        for below in level.folders:
            day = day_in_key(below)
            if day is None:
                waiting.append(below)
            else:
                days.setdefault(day.isoformat(), []).append(below)
    return Layout({day: tuple(folders) for day, folders in sorted(days.items())}, tuple(others), tuple(loose))
