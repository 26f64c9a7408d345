"""The first line of the main screen: the current target at the left, the workers at the right."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from engine import ParentJob, Status, WorkerProcess
from tui.text import counted, plain, size
from tui.views.line import Line, Role, Span, both_ends
from tui.views.lists import TargetState


def header_line(
    state: TargetState | None, jobs: Collection[ParentJob], workers: Collection[WorkerProcess], width: int
) -> Line:
    left: list[Span] = [(" dbtend", Role.HEADING)]
    if state is not None:
        left.append((f"  {plain(state.entry.name)}", Role.STRONG))
        if state.entry.label:
            left.append((f" {plain(state.entry.label)}", Role.WARNING))
        if state.info is not None:
            said = [f"{state.info.engine.value} {state.info.version}", *facts_in_words(state.info.facts)]
            left.append(("  " + "  ".join(plain(words) for words in said), Role.DIM))
    return both_ends(tuple(left), (("  ", Role.TEXT), work(jobs, workers), (" ", Role.TEXT)), width)


def facts_in_words(facts: Mapping[str, int | float | str | None]) -> list[str]:
    """Size, journal mode and free share of a database, as far as they are known."""
    said = []
    if isinstance(total := facts.get("size"), (int, float)):
        said.append(size(total))
    if isinstance(mode := facts.get("journal_mode"), str):
        said.append(mode)
    free, pages = facts.get("free_pages"), facts.get("pages")
    if isinstance(free, (int, float)) and isinstance(pages, (int, float)) and pages:
        said.append(f"{free / pages:.0%} free")
    return said


def work(jobs: Collection[ParentJob], workers: Collection[WorkerProcess]) -> Span:
    """Who works and on how much: the workers are worth a word only while there is something to do."""
    open_jobs = [job for job in jobs if not job.status.is_final]
    if not open_jobs:
        return "nothing running", Role.DIM
    running = sum(job.status is Status.RUNNING for job in open_jobs)
    waiting = len(open_jobs) - running
    parts = [f"{running} running"] if running else []
    parts += [f"{waiting} waiting"] if waiting else []
    if any(worker.alive for worker in workers):
        return f"worker up, {', '.join(parts)}", Role.RUNNING
    return f"no worker, {counted(len(open_jobs), 'job')} waiting", Role.WARNING
