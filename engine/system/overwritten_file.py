"""A SQLite file that was overwritten while a process had it mapped, and its stale journals."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from engine.domain.engines import EngineName
from engine.domain.humanize import listed
from engine.domain.server_names import path_of
from engine.domain.steps import Micros
from engine.system.clock import now


def was_overwritten(engine: str, signal_number: int | None) -> bool:
    """Whether this signal means that the mapped database file was overwritten."""
    return engine == EngineName.SQLITE and signal_number == signal.SIGBUS


def overwritten_hint(target: str) -> str:
    """The hint for an overwritten file with this canonical URL and its stale journals."""
    name, beside = target_path(target).name, leftover_journals(target)
    if beside:
        return f"remove {listed(beside)} before any program opens {name}, then put a good copy in its place"
    return "put a good copy in its place while no program has it open"


def leftover_journals(target: str, until: Micros | None = None) -> list[str]:
    """The names of its nonempty journals. `until`: only those not written since."""
    path = path_of(target)  # asked for each job: a Path would cost more than the disk
    name = path.rpartition("/")[2]
    return [f"{name}{end}" for end in ("-journal", "-wal") if _holds(f"{path}{end}", until)]


def target_path(target: str) -> Path:
    return Path(path_of(target))


def _holds(path: str, until: Micros | None) -> bool:
    try:
        status = os.stat(path)  # noqa: PTH116 - asked for each job
    except OSError:
        return False
    return status.st_size > 0 and (until is None or now.at_host(status.st_mtime_ns) <= until)
