"""What is done about a score: a policy per deployment, apart from the scores, so that another policy needs no model."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from avrec_dag.errors import SettingError

Decision = Literal["allow", "hold", "block"]
_EXPECTED = (
    "hold=SHARE,block=SHARE,reports=PEOPLE with 0 <= hold <= block <= 1 and at least one person, such as hold=0.6,block=0.9,reports=3, "
    "or a JSON file with these numbers"
)


@dataclass(frozen=True)
class Policy:
    """From which score on an item waits for a person, and from which on it is not shown at all.

    Attributes:
        hold: Least score that is held for review.
        block: Least score that is blocked.
        reports: So many people who reported it hold an item for review, whatever its score.
    """

    hold: float = 0.6
    block: float = 0.9
    reports: float = 3

    def canonical(self) -> str:
        """One text for one policy; it enters the version of every decision."""
        return f"hold={self.hold:g},block={self.block:g},reports={self.reports:g}"

    def decide(self, score: float) -> Decision:
        """What a score in [0, 1] leads to."""
        return "block" if score >= self.block else "hold" if score >= self.hold else "allow"

    @classmethod
    def read(cls, text: str) -> "Policy":
        """From a setting: `hold=0.6,block=0.9`, or the path of a JSON file `{"hold": 0.6, "block": 0.9}`; what is left out is as usual.

        Raises:
            SettingError: It is neither, or the numbers are in the wrong order.
        """
        given = _from_file(text) if text.endswith(".json") else _from_text(text)
        unknown = sorted(given.keys() - {"hold", "block", "reports"})
        if unknown:
            raise SettingError(f"AVREC_MODERATION_POLICY has {unknown[0]!r}, expected {_EXPECTED}")
        try:
            policy = cls(**{name: float(value) for name, value in given.items()})  # type: ignore[arg-type]
        except (TypeError, ValueError):
            raise SettingError(f"AVREC_MODERATION_POLICY is {text!r}, expected {_EXPECTED}") from None
        if not all(map(math.isfinite, (policy.hold, policy.block))) or not 0 <= policy.hold <= policy.block <= 1 or not policy.reports >= 1:
            raise SettingError(f"AVREC_MODERATION_POLICY says {policy.canonical()}, expected {_EXPECTED}")
        return policy


def _from_text(text: str) -> dict[str, object]:
    pairs = [part.partition("=") for part in text.split(",") if part.strip()]
    return {name.strip(): value.strip() for name, _, value in pairs}


def _from_file(path: str) -> dict[str, object]:
    try:
        told = json.loads(Path(path).expanduser().read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SettingError(f"AVREC_MODERATION_POLICY names {path}, which cannot be read as JSON ({error}); expected {_EXPECTED}") from None
    if not isinstance(told, dict):
        raise SettingError(f"AVREC_MODERATION_POLICY names {path}, which holds no JSON object; expected {_EXPECTED}")
    return told
