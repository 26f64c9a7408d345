"""How far a running child is."""

from __future__ import annotations

from engine import ChildJob, Status, remaining
from engine.domain.jobs import is_cancelling
from engine.domain.steps import object_name
from tui.presentation.job_status import is_waiting
from tui.presentation.text import percent, plain, time_left


def progress_parts(child: ChildJob, now: int) -> list[str]:
    """`42%`, `0:44 left`, `copying`, `2 of 9 steps done, at orders`: the known parts of these."""
    progress = child.progress
    parts = [percent(progress.fraction) if progress.fraction is not None else "", time_left(remaining(child, now))]
    parts += [progress.phase] if progress.phase and not is_cancelling(child) and not is_waiting(child) else []
    parts += [_steps_done(child)] if progress.steps_total else [object_name(progress.object)]
    return [plain(part) for part in parts if part]


def _steps_done(child: ChildJob) -> str:
    done, total, name = child.progress.steps_done, child.progress.steps_total, object_name(child.progress.object)
    at = f"at {name}" if name and done < total else ""
    if total == 1:
        return at
    count = f"{done} of {total} steps done"
    running = sum(step.status is Status.RUNNING and step.attempt == child.attempt for step in child.steps)
    if min(running, total - done) > 1:  # the steps may be older than the count
        return f"{count}, {running} running"
    return f"{count}, {at}" if at else count
