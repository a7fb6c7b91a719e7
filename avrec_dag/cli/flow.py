"""Bring a library up to date: the jobs in their order, for the days and tables that have something to do."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from avrec_dag import storage
from avrec_dag.behind import unfinished
from avrec_dag.cli import changes
from avrec_dag.cli.changes import CLASSIFY, COLLECT, INGEST, RECOMMEND, TRAIN
from avrec_dag.cli.library import Library
from avrec_dag.cli.runs import Done, Ran, Runner

if TYPE_CHECKING:
    from assets.backfilling import Due

Announce = Callable[[str], None]


@dataclass
class Flow:
    """What one call of `bring_up_to_date` ran.

    Attributes:
        runs: In order.
        stopped: Why later stages were left out; empty when none was.
    """

    runs: list[Ran] = field(default_factory=list)
    stopped: str = ""

    @property
    def ok(self) -> bool:
        """Every run succeeded; a broken promise that blocks nothing is told, and is no failure."""
        return not self.stopped and all(ran.ok for ran in self.runs)

    def totals(self) -> dict[str, Done]:
        """Table -> rows computed, failed and removed over all runs."""
        sums: dict[str, Done] = {}
        for ran in self.runs:
            for name, counts in ran.done.items():
                sums[name] = Done(*map(sum, zip(sums.get(name, Done()), counts, strict=True)))
        return sums


def bring_up_to_date(library: Library, *, days: Sequence[str] = (), verbose: bool = False, announce: Announce = lambda _: None) -> Flow:
    """Run what has something to do; a stage that breaks a promise stops the stages after it.

    Args:
        library: Which.
        days: These days are run whether they have something to do or not, and no other day is; empty: every day that has.
        verbose: Let Dagster's log through.
        announce: Told what runs next.
    """
    storage.check(library.settings.store)
    runner, flow = Runner(library, verbose=verbose), Flow()
    _run(library, runner, flow, (_ingest, _collect, _train, _classify, _recommend), days, announce)
    return flow


def catch_up(runner: Runner, library: Library, due: Sequence["Due"], *, announce: Announce = lambda _: None) -> Flow:
    """Run days that are behind, in the given order, and then what follows from them; a day that fails stops what follows alone.

    Args:
        runner: Runs the jobs.
        library: Which.
        due: The days (`backfill.due`).
        announce: Told what runs next.
    """
    flow = Flow()
    for place, one in enumerate(due, 1):
        announce(f"{place} of {len(due)}: {one.job} {one.day}")
        inputs = [f"{one.day}={changes.event_digest(library, one.day)}"] if one.job == COLLECT else ()
        tables = one.tables(runner.steps(one.job))
        flow.runs.append(runner.run(one.job, one.day, inputs=inputs, catching_up=True, tables=tables))
    if not _stopped(flow):
        _run(library, runner, flow, (_train, _classify, _recommend), (), announce)
    return flow


def refit(library: Library, *, announce: Announce = lambda _: None) -> Flow:
    """Train, classify and recommend anew as far as something changed, without looking at uploads or the feedback log."""
    flow = Flow()
    _run(library, Runner(library), flow, (_train, _classify, _recommend), (), announce)
    return flow


def _run(library: Library, runner: Runner, flow: Flow, stages: Sequence["_Stage"], days: Sequence[str], announce: Announce) -> None:
    for stage in stages:
        for job, partition, inputs in stage(library, runner, days):
            announce(f"{job} {partition}".strip())
            flow.runs.append(runner.run(job, partition, inputs=inputs))
        if _stopped(flow):
            return


def _stopped(flow: Flow) -> bool:
    """Whether a run failed; the first that did is named as what stopped the rest."""
    broken = [ran for ran in flow.runs if not ran.ok]
    if broken:
        flow.stopped = f"{broken[0].job} {broken[0].partition}".strip()
    return bool(broken)


_Todo = Iterator[tuple[str, str, Sequence[str]]]
_Stage = Callable[[Library, Runner, Sequence[str]], _Todo]


def _ingest(library: Library, runner: Runner, days: Sequence[str]) -> _Todo:
    tables = runner.steps(INGEST)
    for day in days or changes.upload_days(library):
        if days or unfinished(changes.upload_plans(library, day, tables)):
            yield INGEST, day, ()


def _collect(library: Library, runner: Runner, days: Sequence[str]) -> _Todo:
    for day, digest in changes.event_days(library).items():
        inputs = [f"{day}={digest}"]
        if day in days or (not days and not runner.settled(COLLECT, day, inputs)):
            yield COLLECT, day, inputs


def _train(library: Library, runner: Runner, _days: Sequence[str]) -> _Todo:
    yield from _whole(library, runner, TRAIN)


def _classify(library: Library, runner: Runner, days: Sequence[str]) -> _Todo:
    tables = runner.steps(CLASSIFY)
    for day in days or library.ledger.partitions("raw_media"):
        if days or unfinished(changes.upload_plans(library, day, tables)):
            yield CLASSIFY, day, ()


def _recommend(library: Library, runner: Runner, _days: Sequence[str]) -> _Todo:
    yield from _whole(library, runner, RECOMMEND)


def _whole(library: Library, runner: Runner, job: str) -> _Todo:
    inputs = changes.inputs_of(library, runner.steps(job))
    if not runner.settled(job, "", inputs):
        yield job, "", inputs
