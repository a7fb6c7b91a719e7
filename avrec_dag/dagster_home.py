"""A folder for Dagster's records where no dagster.yaml of the project lies."""

from pathlib import Path

SETTINGS = """\
telemetry: {enabled: false}
storage: {custom: {module: resources.sqlite_records, class: SqliteRecords, config: {base_dir: {env: DAGSTER_HOME}}}}
"""


def prepared(home: Path) -> Path:
    """The folder, which DAGSTER_HOME has to name: made where it is missing, with settings where it has none."""
    home.mkdir(parents=True, exist_ok=True)
    if not (home / "dagster.yaml").exists():
        (home / "dagster.yaml").write_text(SETTINGS, encoding="utf-8")
    return home
