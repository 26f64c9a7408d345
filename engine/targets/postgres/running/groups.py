"""The result of a command for several tables: which are done, and the steps of the others."""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from dataclasses import replace
from typing import Final

from engine.domain.errors import TargetError
from engine.domain.humanize import counted
from engine.domain.statuses import Status
from engine.targets.postgres.connection import errors
from engine.targets.postgres.planning.steps import PgStep
from engine.targets.postgres.queries import query
from engine.targets.postgres.reading.counters import wait_until_counted
from engine.targets.postgres.reading.reader import Reader
from engine.targets.postgres.running.statement import Answer
from engine.targets.step_execution import StepResult

_SKIPPED: Final = errors.GONE | {errors.LOCK_TIMEOUT}
"""The codes of warnings about a table that the server skips: the words may be in any language."""


async def done(reader: Reader, backend: int, step: PgStep) -> Collection[int]:
    """The oids of the tables that its command, the last of that backend, has done. Empty if unknown."""
    ended = "pg_stat_get_last_analyze_time" if "ANALYZE" in step.group_command else "pg_stat_get_last_vacuum_time"
    done = query("done_tables", ended=ended)
    await wait_until_counted(reader.server.version)
    with contextlib.suppress(TargetError):
        return [oid for (oid,) in await reader.rows(done, [backend, list(map(_oid, step.members))], row=(int,))]
    return ()


def divided(
    step: PgStep, answer: Answer, oids: Collection[int], result: StepResult, *, is_cancelled: bool
) -> StepResult:
    """The result of a step for several tables.

    Args:
        oids: where it did not do them all, those that it did.
        result: what its answer means for one table.
        is_cancelled: whether the job is; otherwise it was stopped for sessions that waited behind it.
    """
    if result.status is Status.COMPLETED and not result.warnings:
        return replace(result, effect={"objects": step.objects})
    warnings = [notice.message for notice in answer.notices if notice.is_warning]
    done = {member.object for member in step.members if _oid(member) in oids and not _is_named(member, warnings)}
    effect = {"objects": tuple(name for name in step.objects if name in done)}
    if is_cancelled and result.status is Status.CANCELLED:
        return replace(result, effect=effect, left=f"{len(done):,} of {len(step.members):,} done; they stay done")
    not_done = [member for member in step.members if member.object not in done]
    general = [
        notice.message
        for notice in answer.notices
        if notice.is_warning
        and notice.sqlstate not in _SKIPPED
        and not any(_is_named(member, [notice.message]) for member in step.members)
    ]
    why = ""
    if not_done and not (done and answer.error is None):
        own = "follows on its own" if len(not_done) == 1 else "follow one by one"
        why = f"{result.error or 'sessions waited behind it'}. {counted(len(not_done), 'table')} of it {own}"
    return StepResult(
        status=Status.COMPLETED if done else Status.SKIPPED,
        error=why or None,
        effect=effect,
        warnings=tuple(dict.fromkeys(general)),
        instead=tuple(_alone(member, step) for member in not_done),
    )


def _oid(step: PgStep) -> int:
    return step.subject.oid if step.subject is not None else 0


def _is_named(step: PgStep, warnings: Collection[str]) -> bool:
    """Whether the server has warned of its table."""
    return step.subject is not None and any(f'"{step.subject.name}"' in warning for warning in warnings)


def _alone(step: PgStep, group: PgStep) -> PgStep:
    """The step of one table of a group, with its share of the estimate."""
    if group.estimate is None or not group.weight or step.weight is None:
        return step
    return replace(step, estimate=group.estimate * step.weight / group.weight)
