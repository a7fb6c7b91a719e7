"""The folder in which one evaluation's processes meet: data and jobs go in, measurements and fitted models come out."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avrec_dag.recommend.evaluation.splits import TEST, Split
from avrec_dag.recommend.models.base import Files, Interactions


@dataclass(frozen=True)
class Job:
    """What one process is asked for.

    Attributes:
        model: Name in the registry.
        refit: Whether the model is fitted again on training and validation together, before the test.
        budget_s: For choosing settings.
        seed: Of everything drawn.
        components: Models that were fitted before, of those it is made of.
        keep: Whether the fitted model is wanted by another one.
    """

    model: str
    refit: bool
    budget_s: float
    seed: int
    components: tuple[str, ...] = ()
    keep: bool = False


@dataclass(frozen=True)
class Exchange:
    """The folder, by what lies where.

    Attributes:
        path: It.
    """

    path: Path

    def put_data(self, split: Split, ratings: NDArray[np.float32] | None) -> None:
        """Write what all processes read."""
        data = split.data
        arrays = {"indptr": data.indptr, "columns": data.columns, "at_s": data.at_s, "part": split.part}
        for name, array in {**arrays, "ratings": ratings, "vectors": data.vectors}.items():
            if array is not None:
                np.save(self.path / f"{name}.npy", array)
        ids = {"users": list(data.users), "items": list(data.items)}
        (self.path / "ids.json").write_text(json.dumps(ids), encoding="utf-8")

    def data(self) -> tuple[Split, NDArray[np.float32] | None]:
        """The split, and the ratings of what is known at test where there are any."""
        ids = json.loads((self.path / "ids.json").read_text(encoding="utf-8"))
        columns = np.load(self.path / "columns.npy")
        data = Interactions(
            users=tuple(ids["users"]),
            items=tuple(ids["items"]),
            indptr=np.load(self.path / "indptr.npy"),
            columns=columns,
            weights=np.ones(len(columns), np.float32),
            at_s=np.load(self.path / "at_s.npy"),
            vectors=self._optional("vectors"),
        )
        part, ratings = np.load(self.path / "part.npy"), self._optional("ratings")
        return Split(data, part), None if ratings is None else ratings[part != TEST]

    def _optional(self, name: str) -> NDArray[np.float32] | None:
        path = self.path / f"{name}.npy"
        return np.load(path) if path.exists() else None

    def put_job(self, job: Job) -> None:
        """Write what a process is asked for."""
        (self.path / f"{job.model}.job.json").write_text(json.dumps(asdict(job)), encoding="utf-8")

    def job(self, model: str) -> Job:
        """What a process is asked for."""
        facts: dict[str, Any] = json.loads((self.path / f"{model}.job.json").read_text(encoding="utf-8"))
        facts["components"] = tuple(facts["components"])
        return Job(**facts)

    def put_model(self, name: str, stage: str, files: Files) -> None:
        """Keep a fitted model: `stage` is `train` or `refit`."""
        folder = self.path / "models" / name / stage
        folder.mkdir(parents=True, exist_ok=True)
        for file, content in files.items():
            (folder / file).write_bytes(content)

    def model(self, name: str, stage: str) -> Files:
        """What `put_model` kept."""
        return {path.name: path.read_bytes() for path in (self.path / "models" / name / stage).iterdir()}

    def put_result(self, name: str, figures: Mapping[str, object], per_user: Mapping[str, NDArray[np.float64]]) -> None:
        """Write what was measured, the figures last: where they are, everything is."""
        arrays: dict[str, Any] = dict(per_user)
        np.savez(self.path / f"{name}.npz", **arrays)
        (self.path / f"{name}.json").write_text(json.dumps(figures, allow_nan=False), encoding="utf-8")

    def result(self, name: str) -> tuple[dict[str, object], dict[str, NDArray[np.float64]]] | None:
        """What was measured; None where it never came to that."""
        path = self.path / f"{name}.json"
        if not path.exists():
            return None
        with np.load(self.path / f"{name}.npz") as stored:
            return json.loads(path.read_text(encoding="utf-8")), {key: stored[key] for key in stored.files}
