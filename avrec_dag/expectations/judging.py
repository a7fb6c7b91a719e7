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
    """One verdict per rule, in no particular order.

    Raises:
        ValueError: A rule cannot be evaluated; that is a fault of the rule, not a verdict about the data.
    """
    by_name = {rule.name: rule for rule in rules}
    for on, table in (("rows", stored.rows), ("answers", stored.answers)):
        chosen = [rule for rule in by_name.values() if rule.on == on]
        for result in _results(table.to_pandas(), stored, chosen) if chosen else ():
            yield _verdict(by_name[result.expectation_config.meta["rule"]], result, stored.key)


def _results(frame: Any, stored: Stored, rules: Iterable[Rule]) -> list[Any]:
    import great_expectations as gx
    import great_expectations.expectations as gxe

    # One suite: its expectations share what they measure, which halves the time.
    expectations = [
        getattr(gxe, "".join(word.capitalize() for word in rule.expect.split("_")))(**rule.kwargs, meta={"rule": rule.name})
        for rule in rules
    ]
    form = {"result_format": "SUMMARY", "partial_unexpected_count": MOST_OFFENDERS, "unexpected_index_column_names": [stored.key]}
    batch = _definition().get_batch(batch_parameters={"dataframe": frame})
    suite = gx.ExpectationSuite(name="rules", expectations=expectations)
    return batch.validate(suite, result_format=form, expectation_parameters=dict(stored.facts)).results


def _verdict(rule: Rule, result: Any, key: str) -> Verdict:
    _refuse_faults(rule, result.exception_info or {})
    found = result.result or {}
    observed = {name: found[name] for name in _COUNTS if isinstance(found.get(name), int | float)}
    offenders = [str(one[key]) for one in found.get("partial_unexpected_index_list") or ()]
    return Verdict(rule, bool(result.success), observed, tuple(dict.fromkeys(offenders)))


def _refuse_faults(rule: Rule, info: Mapping[str, Any]) -> None:
    # One exception, or one for each metric that was wanted.
    for one in [info] if "raised_exception" in info else info.values():
        if isinstance(one, dict) and one.get("raised_exception"):
            raise ValueError(f"{rule.name}: {rule.expect} cannot be evaluated: {str(one.get('exception_message'))[:500]}")


@cache
def _definition() -> Any:
    """One batch definition per process: any frame can be put into it."""
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    return context.data_sources.add_pandas("stored").add_dataframe_asset("frame").add_batch_definition_whole_dataframe("whole")
