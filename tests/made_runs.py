"""A small library of real made clips, and the project's own jobs run on it in this process."""

import json
import shutil
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg

from avrec_dag import synthetic
from avrec_dag.definitions import build
from avrec_dag.feedback import Event, FeedbackLog
from avrec_dag.labelling import Correction, LabelLog
from avrec_dag.ledger import Ledger
from avrec_dag.storage import Blobs
from resources.profiles import Settings

DAYS = ("2026-03-02", "2026-03-03")
BAD = f"dt={DAYS[0]}/not a film.mp4"
PEOPLE = ("ada", "bob", "cyd", "dan")
EVENT_DAY = "2026-03-04"
EVERYTHING = (
    *[("ingest_and_embed", day) for day in DAYS], ("collect_feedback", EVENT_DAY), ("train_classifier", None),
    *[("classify", day) for day in DAYS], ("recommend", None),
)  # fmt: skip


@dataclass
class Run:
    """What one job did."""

    result: dg.ExecuteInProcessResult
    materialized: dict[str, dg.AssetMaterialization] = field(init=False)

    def __post_init__(self) -> None:
        events = [event for event in self.result.all_events if event.is_step_materialization]
        found = [event.step_materialization_data.materialization for event in events]
        self.materialized = {one.asset_key.to_user_string(): one for one in found}

    @property
    def ok(self) -> bool:
        return self.result.success

    @property
    def errors(self) -> list[str]:
        """Step and innermost cause of every failure."""
        found = []
        for event in self.result.all_events:
            if event.is_step_failure:
                cause = event.step_failure_data.error
                while cause.cause is not None:
                    cause = cause.cause
                found.append(f"{event.step_key}: {cause.message}{''.join(cause.stack[-2:])}")
        return found

    @property
    def computed(self) -> dict[str, int]:
        return {name: one.metadata["avrec/computed"].value for name, one in self.materialized.items()}

    @property
    def broken(self) -> set[tuple[str, str]]:
        return {(one.asset_key.to_user_string(), one.check_name) for one in self.result.get_asset_check_evaluations() if not one.passed}


@dataclass
class Library:
    """Uploads, store and feedback below one folder."""

    root: Path
    engine: str = "inline"
    instance: dg.DagsterInstance = field(default_factory=dg.DagsterInstance.ephemeral)

    def __post_init__(self) -> None:
        where = {name: str(self.root / name) for name in ("media", "store")}
        self.settings = Settings(**where, feedback=f"sqlite:///{self.root / 'feedback.db'}", engine=self.engine)
        self.defs = build(self.settings.resources())
        self.ledger, self.blobs = Ledger(self.settings.store), Blobs(self.settings.store)

    def run(self, job: str, day: str | None = None) -> Run:
        quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
        definition = self.defs.resolve_job_def(job)
        return Run(definition.execute_in_process(partition_key=day, instance=self.instance, raise_on_error=False, run_config=quiet))

    def run_all(self) -> list[Run]:
        return [self.run(job, day) for job, day in EVERYTHING]

    def upload(self, key: str, kind: str, seed: int, *, duration_s: float = 1.0) -> None:
        path = self.root / "media" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        synthetic.clip(path, kind=kind, seed=seed, duration_s=duration_s, size=(160, 90))
        self.tell(key, **synthetic.sidecar(kind, seed))

    def tell(self, key: str, **said: object) -> None:
        (self.root / "media" / f"{key}.json").write_text(json.dumps(said, ensure_ascii=False))

    def remove(self, key: str) -> None:
        for suffix in ("", ".json"):
            (self.root / "media" / f"{key}{suffix}").unlink()

    def close(self) -> None:
        self.instance.dispose()

    def copy(self, root: Path) -> "Library":
        """The same library elsewhere, with an instance of its own."""
        shutil.copytree(self.root, root)
        return Library(root)


def made_runs(root: Path, *, per_kind: int = 4) -> Library:
    """Two kinds of clips over two days, one file that is no film, and four people of two tastes; nothing materialized yet."""
    library = Library(root)
    liked: dict[str, list[str]] = {}
    for kind in synthetic.KINDS[:2]:
        for number in range(per_kind):
            key = f"dt={DAYS[number % 2]}/{kind} {number}.mp4"
            library.upload(key, kind, number)
            liked.setdefault(kind, []).append(key)
    (root / "media" / BAD).write_text("this is no film")
    log = FeedbackLog(library.settings.feedback)
    at = datetime.fromisoformat(EVENT_DAY).replace(hour=12, tzinfo=UTC)
    tastes = [keys[:-1] or keys for keys in liked.values()]  # one is left to recommend
    log.add(
        Event(user_id=user, media_id=key, kind="like", happened_at=at.replace(minute=minute))
        for place, user in enumerate(PEOPLE)
        for minute, key in enumerate(tastes[place % 2])
    )
    log.add([Event(user_id=PEOPLE[0], media_id=tastes[0][0], kind="comment", text="Love this one!", happened_at=at)])
    log.close()
    said = LabelLog(library.settings.feedback)
    said.add([Correction(media_id=liked[synthetic.KINDS[0]][0], labels=(synthetic.KINDS[0],), by="ada")])
    said.close()
    return library
