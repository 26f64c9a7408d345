"""dbtend's engine: durable, observable database maintenance, complete without any screen.

async with Engine.open(path, workers=2) as engine:
    (job,) = await engine.submit([Request(target="sqlite:///srv/sales.db", operations=(Operation.VACUUM,))])
    (done,) = await engine.wait([job.id])
"""

from engine.advice import Advice, Level, Past
from engine.ending_by_force import ForceCancel
from engine.engine import Engine
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
from engine.retention import Retention
from engine.targets.base import OperationInfo, OperationPlan, Plan, PlannedStep, TargetInfo, Verdict
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
