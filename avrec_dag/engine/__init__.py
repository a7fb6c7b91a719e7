"""Run batches of items: in this process, over this machine's processes, or on Ray."""

from avrec_dag.engine.base import Engine, Inline, attempt
from avrec_dag.engine.local import Local
from avrec_dag.engine.on_ray import OnRay
from avrec_dag.errors import SettingError
from avrec_dag.limits import Limits

__all__ = ["Engine", "Inline", "Local", "OnRay", "attempt", "engine"]


def engine(setting: str = "local", workers: int | None = None, bounds: Limits | None = None) -> Engine:
    """The engine a setting names; workers start with the first batch, not here.

    Args:
        setting: `local` (processes of this machine), `inline` (this process), `ray` (a Ray of this machine's own), or the
            address of a running Ray: `ray://host:port`, `host:port` or `auto`.
        workers: Processes; AVREC_WORKERS, else every core, by default. A running Ray has its own.
        bounds: What one upload may cost.

    Raises:
        SettingError: No engine has this name, or Ray is not installed.
    """
    if setting == "inline":
        return Inline(bounds)
    if setting == "local":
        return Local(workers, bounds)
    if setting in ("ray", "auto") or ":" in setting:
        return OnRay(None if setting == "ray" else setting, workers, bounds)
    raise SettingError(f"AVREC_ENGINE={setting!r} names no engine; use local, inline, ray or ray://host:port")
