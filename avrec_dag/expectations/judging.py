"""Great Expectations behind one function."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from avrec_dag.expectations.reading import Stored
from avrec_dag.expectations.rules import Rule

MOST_OFFENDERS = 20
_COUNTS = ("element_count", "unexpected_count", "unexpected_percent", "missing_count", "observed_value")


@dataclass(frozen=True)
class Verdict:
    """Whether one promise is kept.

    Attributes:
        rule: The promise.
        passed: Whether it is kept.
        observed: What was counted.
        offenders: Keys of rows that break it, at most 20; empty for promises about the table as a whole.
    """

    rule: Rule
    passed: bool
    observed: Mapping[str, float]
    offenders: tuple[str, ...]


def judge(stored: Stored, rules: Iterable[Rule]) -> Iterator[Verdict]:
    """One verdict per rule.

    Raises:
        ValueError: A rule cannot be evaluated; that is a fault of the rule, not a verdict about the data.
    """
    import great_expectations.expectations as gxe

    batches = {"rows": _batch(stored.rows.to_pandas()), "answers": _batch(stored.answers.to_pandas())}
    form = {
        "result_format": "SUMMARY",
        "partial_unexpected_count": MOST_OFFENDERS,
        "unexpected_index_column_names": [stored.key],
    }
    for rule in rules:
        expectation = getattr(gxe, "".join(word.capitalize() for word in rule.expect.split("_")))(**rule.kwargs)
        result = batches[rule.on].validate(expectation, result_format=form, expectation_parameters=dict(stored.facts))
        _refuse_faults(rule, result.exception_info or {})
        found = result.result or {}
        observed = {name: found[name] for name in _COUNTS if isinstance(found.get(name), int | float)}
        offenders = [str(one[stored.key]) for one in found.get("partial_unexpected_index_list") or ()]
        yield Verdict(rule, bool(result.success), observed, tuple(dict.fromkeys(offenders)))


def _refuse_faults(rule: Rule, info: Mapping[str, Any]) -> None:
    # One exception, or one for each metric that was wanted.
    for one in [info] if "raised_exception" in info else info.values():
        if isinstance(one, dict) and one.get("raised_exception"):
            raise ValueError(f"{rule.name}: {rule.expect} cannot be evaluated: {str(one.get('exception_message'))[:500]}")


@cache
def _definition() -> Any:
    """One batch definition per process: any frame can be put into it."""
    import great_expectations as gx

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    return context.data_sources.add_pandas("stored").add_dataframe_asset("frame").add_batch_definition_whole_dataframe("whole")


def _batch(frame: Any) -> Any:
    return _definition().get_batch(batch_parameters={"dataframe": frame})
