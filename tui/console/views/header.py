"""The first line of the main screen: the current target at the left, the workers at the right."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from rich.cells import cell_len

from engine import Advice, Facts, Operation, ParentJob, Pause, Status, WorkerProcess
from engine.domain.events import other_host, unattended
from tui.console.views.line import Line, Role, Span, both_ends, named, span_cells
from tui.console.views.lists import TargetState
from tui.presentation.fact_format import number, text
from tui.presentation.target_names import TargetName
from tui.presentation.text import counted, plain, shortened, size


def header_line(state: TargetState | None, jobs: Span, width: int, *, read_only: bool = False) -> Line:
    """`jobs`: see `work`. On a narrow line whole parts are left out, the least important first; the name is cut last.

    The room for jobs is constant, so nothing moves when jobs start and end.
    """
    right_end: tuple[Span, ...] = (
        ("  ", Role.TEXT),
        *((READ_ONLY, ("  ", Role.TEXT)) * read_only),
        jobs,
        (" ", Role.TEXT),
    )
    room = width - span_cells(right_end)
    reserved = max(RESERVED - cell_len(jobs[0]), 0)
    dropped = 0
    while span_cells(left := _about_target(state, dropped, room)) > room - reserved and dropped < len(_DROPPED_FIRST):
        dropped += 1
    return both_ends(left, right_end, width)


READ_ONLY: Final[Span] = ("read-only", Role.WARNING)
STORE_GONE: Final[Span] = ("STORE GONE", Role.FAILED)
STORE_UNREADABLE: Final[Span] = ("store unreadable", Role.FAILED)
STORE_OPENING: Final[Span] = ("opening the store", Role.DIM)
READING_JOBS: Final[Span] = ("reading jobs", Role.DIM)
"""All in place of `work`, which is unknown then."""
RESERVED: Final = len("worker up, 2 running, 9 waiting")
_HOST_WIDTH: Final = 16
_DROPPED_FIRST = ("engine", "journal", "free", "size", "dbtend")


def _about_target(state: TargetState | None, dropped: int, room: int) -> tuple[Span, ...]:
    spans: dict[str, Span] = {"dbtend": (" dbtend ", Role.HEADING)}
    if state is not None:
        (name, role), *label = named(TargetName.of(state.entry), room - 2)
        spans |= {"name": (f" {name}", role), **({"label": label[0]} if label else {})}
        known = {part: words for part, words in _known(state).items() if part not in _DROPPED_FIRST[:dropped]}
        if known and state.info is None:
            spans["age"] = ("  last seen:", Role.DIM)
        spans |= {part: (f"  {plain(words)}", Role.DIM) for part, words in known.items()}
    return tuple(span for part, span in spans.items() if part not in _DROPPED_FIRST[:dropped])


def _known(state: TargetState) -> dict[str, str]:
    """What the last inspection found, also of a database that cannot be opened now."""
    info = state.info or state.last_info
    if info is None:
        return {}
    place = f"on {info.elsewhere}" if info.elsewhere else info.product
    return {"engine": place, **_facts(info.facts), **_wasted(state.advice or ())}


def format_facts(facts: Facts) -> list[str]:
    """Size, journal mode and free share of a database, if known."""
    return list(_facts(facts).values())


def _facts(facts: Facts) -> dict[str, str]:
    parts = {}
    if (total := number(facts, "size")) is not None:
        parts["size"] = size(total)
    if mode := text(facts, "journal_mode"):
        parts["journal"] = mode if mode == "wal" else f"journal {mode}"
    free, pages = number(facts, "free_pages"), number(facts, "pages")
    if free is not None and pages:
        parts["free"] = f"{free / pages:.0%} empty"  # "free" would be read as of the disk
    return parts


def _wasted(advice: Iterable[Advice]) -> dict[str, str]:
    """Replaces the free share after a full inspection, in the words of the advice."""
    facts = next((item.facts for item in advice if item.operation is Operation.VACUUM), {})
    total, wasted = number(facts, "size"), number(facts, "reclaimable_bytes")
    if not total or wasted is None or number(facts, "unused") is None:
        return {}
    return {"free": f"{wasted / total:.0%} reclaimable"}


def work(
    jobs: Collection[ParentJob],
    workers: Collection[WorkerProcess],
    pause: Pause | None,
    here: str | None = None,
) -> Span:
    """`worker up, 2 running`: workers are named only while a job is open. `here`: see `unattended`."""
    open_jobs = [job for job in jobs if not job.status.is_final]
    if not open_jobs:
        return ("paused", Role.WARNING) if pause else ("nothing running", Role.DIM)
    running = sum(any(child.status is Status.RUNNING for child in job.children) for job in open_jobs)
    waiting = len(open_jobs) - running
    alive = [worker for worker in workers if worker.alive]
    trouble = ["paused"] if pause else []
    if stalled := sum(worker.stalled for worker in alive):
        trouble.append("worker stalled" if len(alive) == 1 else f"{stalled:,} of {len(alive):,} workers stalled")
    elif not pause and (left := unattended(open_jobs, workers, here=here)):
        trouble.append(_no_worker({other_host(job, here) for job in left}))
    counts = [f"{running:,} running"] if running else []
    counts += [f"{waiting:,} waiting"] if waiting else []
    return ", ".join([*(trouble or ["worker up"]), *counts]), Role.WARNING if trouble else Role.RUNNING


def _no_worker(hosts: Collection[str | None]) -> str:
    """`hosts`: those that lack a worker; None: this one."""
    others = [host for host in hosts if host is not None]
    if len(others) < len(hosts):
        return "no worker"
    where = shortened(plain(others[0]), _HOST_WIDTH) if len(others) == 1 else counted(len(others), "host")
    return f"no worker on {where}"
