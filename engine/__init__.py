"""dbtend's engine: durable, observable database maintenance, complete without any screen.

async with Engine.open(path, workers=2) as engine:
    (job,) = await engine.submit([Request(target="sqlite:///srv/sales.db", operations=(Operation.VACUUM,))])
    (done,) = await engine.wait([job.id])
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from engine.domain.engines import EngineName
from engine.domain.jobs import (
    Attempt,
    ChildJob,
    JobId,
    ParentJob,
    parent_progress,
    parent_remaining,
    remaining,
    run_duration,
)
from engine.domain.requests import (
    CheckLevel,
    OnDuplicate,
    OnFailure,
    Operation,
    Options,
    Request,
    ServerOptions,
)
from engine.domain.statuses import Reason, Status
from engine.domain.steps import Facts, LogLine, Progress, Step

if TYPE_CHECKING:
    from engine.domain.advice import Advice, Level, TargetHistory
    from engine.domain.batches import Batch, BatchId, BatchOptions, FailedRequest
    from engine.domain.events import Change, ChangeKind, HistoryFilter, Lagged, Pause, WorkerProcess
    from engine.domain.job_outcomes import JobOutcome
    from engine.domain.past_runs import PastRun
    from engine.domain.retention import Retention
    from engine.domain.surveys import FleetLevel, Survey, SurveyReason
    from engine.domain.thresholds import Thresholds
    from engine.engine import Engine
    from engine.execution.force_kill import ForceCancel
    from engine.history.trends import Trend
    from engine.store.location import StoreLocation
    from engine.targets.lock_impact import Lock, LockImpact, LockScope
    from engine.targets.operation_specs import Autovacuum, OperationInfo, TargetInfo
    from engine.targets.plans import OperationPlan, Plan, PlannedStep, Verdict

__all__ = [
    "Advice",
    "Attempt",
    "Autovacuum",
    "Batch",
    "BatchId",
    "BatchOptions",
    "Change",
    "ChangeKind",
    "CheckLevel",
    "ChildJob",
    "Engine",
    "EngineName",
    "Facts",
    "FailedRequest",
    "FleetLevel",
    "ForceCancel",
    "HistoryFilter",
    "JobId",
    "JobOutcome",
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
    "StoreLocation",
    "Survey",
    "SurveyReason",
    "TargetHistory",
    "TargetInfo",
    "Thresholds",
    "Trend",
    "Verdict",
    "WorkerProcess",
    "parent_progress",
    "parent_remaining",
    "remaining",
    "run_duration",
]

_NAMES: Final = {
    "engine.domain.advice": ("Advice", "Level", "TargetHistory"),
    "engine.domain.batches": ("Batch", "BatchId", "BatchOptions", "FailedRequest"),
    "engine.domain.job_outcomes": ("JobOutcome",),
    "engine.execution.force_kill": ("ForceCancel",),
    "engine.engine": ("Engine",),
    "engine.domain.retention": ("Retention",),
    "engine.domain.surveys": ("FleetLevel", "Survey", "SurveyReason"),
    "engine.domain.thresholds": ("Thresholds",),
    "engine.targets.plans": ("OperationPlan", "Plan", "PlannedStep", "Verdict"),
    "engine.targets.operation_specs": ("Autovacuum", "OperationInfo", "TargetInfo"),
    "engine.targets.lock_impact": ("Lock", "LockImpact", "LockScope"),
    "engine.domain.past_runs": ("PastRun",),
    "engine.history.trends": ("Trend",),
    "engine.store.location": ("StoreLocation",),
    "engine.domain.events": ("Change", "ChangeKind", "HistoryFilter", "Lagged", "Pause", "WorkerProcess"),
}
"""Where the rest lives. It is imported when it is asked for: most users of the engine need a small part of it."""
_HOMES: Final = {name: module for module, names in _NAMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(_HOMES[name]), name)
    globals()[name] = found
    return found
