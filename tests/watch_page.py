"""What a person does on the watch page, and what is read from it."""

import time
from contextlib import closing
from typing import Any

from avrec_dag.feedback import Event
from tests.small_library import Small


def listed(tab: Any) -> list[str]:
    return tab.eval_on_selector_all("#list li", "rows => rows.map((one) => one.dataset.id)")


def shown(tab: Any) -> str:
    return tab.locator("#facts").inner_text().split(" · ")[-1]


def act(tab: Any, name: str) -> None:
    tab.locator(f"[data-act={name}]").click()


def told(tab: Any, text: str) -> None:
    tab.wait_for_function("text => document.querySelector('#said').textContent.includes(text)", arg=text)


def events_of(served: Small, tab: Any, *kinds: str) -> list[Event]:
    """What the log holds of the person in the tab, when it holds these kinds."""
    return acted(served, tab.locator("#who").input_value(), *kinds)


def acted(served: Small, who: str, *kinds: str) -> list[Event]:
    """The same of anybody."""
    with closing(served.log) as log:
        for _ in range(600):
            found = sorted(log.of_user(who), key=lambda one: one.happened_at)
            if set(kinds) <= {one.kind for one in found}:
                return found
            time.sleep(0.05)
    raise AssertionError(f"{kinds} did not come; there are {[one.kind for one in found]}")


def made(first: int, n: int = 20) -> list[dict[str, Any]]:
    """Items of an answer that is made up."""
    about = {"kind": "audio", "duration_s": 1.0, "labels": [], "score": 0.5, "reason": "made", "causes": [], "title": None}
    return [{"media_id": f"made/{place}.wav", **about} for place in range(first, first + n)]
