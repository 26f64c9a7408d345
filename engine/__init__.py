"""dbtend's engine: durable, observable database maintenance, complete without any screen.

async with Engine.open(path, workers=2) as engine:
    (job,) = await engine.submit([Request(target="sqlite:///srv/sales.db", operations=(Operation.VACUUM,))])
    (done,) = await engine.wait([job.id])
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from engine.jobs import (
    Attempt,
    CheckLevel,
    ChildJob,
    EngineName,
    Facts,
    JobId,
    LogLine,
    OnDuplicate,
    OnFailure,
    Operation,
    Options,
    ParentJob,
    Progress,
    Reason,
    Request,
    ServerOptions,
    Status,
    Step,
    parent_progress,
    remaining,
    run_duration,
)

if TYPE_CHECKING:
    from engine.advice import Advice, Level, Past
    from engine.ending_by_force import ForceCancel
    from engine.engine import Engine
    from engine.retention import Retention
    from engine.targets.base import OperationPlan, Plan, PlannedStep, Verdict
    from engine.targets.info import OperationInfo, TargetInfo
    from engine.targets.lock_impact import Lock, LockImpact, LockScope
    from engine.trend import PastRun, Trend
    from engine.watching import Change, ChangeKind, HistoryFilter, Lagged, Pause, WorkerProcess

__all__ = [
    "Advice",
    "Attempt",
    "Change",
    "ChangeKind",
    "CheckLevel",
    "ChildJob",
    "Engine",
    "EngineName",
    "Facts",
    "ForceCancel",
    "HistoryFilter",
    "JobId",
    "Lagged",
    "Level",
    "Lock",
    "LockImpact",
    "LockScope",
    "LogLine",
    "OnDuplicate",
    "OnFailure",
    "Operation",
    "OperationInfo",
    "OperationPlan",
    "Options",
    "ParentJob",
    "Past",
    "PastRun",
    "Pause",
    "Plan",
    "PlannedStep",
    "Progress",
    "Reason",
    "Request",
    "Retention",
    "ServerOptions",
    "Status",
    "Step",
    "TargetInfo",
    "Trend",
    "Verdict",
    "WorkerProcess",
    "parent_progress",
    "remaining",
    "run_duration",
]

_HOMES: Final = {
    "Advice": "engine.advice",
    "Level": "engine.advice",
    "Past": "engine.advice",
    "ForceCancel": "engine.ending_by_force",
    "Engine": "engine.engine",
    "Retention": "engine.retention",
    "OperationPlan": "engine.targets.base",
    "Plan": "engine.targets.base",
    "PlannedStep": "engine.targets.base",
    "Verdict": "engine.targets.base",
    "OperationInfo": "engine.targets.info",
    "TargetInfo": "engine.targets.info",
    "Lock": "engine.targets.lock_impact",
    "LockImpact": "engine.targets.lock_impact",
    "LockScope": "engine.targets.lock_impact",
    "PastRun": "engine.trend",
    "Trend": "engine.trend",
    "Change": "engine.watching",
    "ChangeKind": "engine.watching",
    "HistoryFilter": "engine.watching",
    "Lagged": "engine.watching",
    "Pause": "engine.watching",
    "WorkerProcess": "engine.watching",
}
"""Where the rest lives. It is imported when it is asked for: most users of the engine need a small part of it."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found = getattr(import_module(_HOMES[name]), name)
    return found
