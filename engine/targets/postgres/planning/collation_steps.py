"""Steps that record the version of a collation, once all that it orders is rebuilt. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engine.domain.humanize import listed
from engine.targets.lock_impact import NO_LOCK
from engine.targets.postgres.planning.costs import STEP_OVERHEAD
from engine.targets.postgres.planning.steps import Method, PgStep
from engine.targets.postgres.reading.collations import CollationRebuild


def recording(drifts: Sequence[CollationRebuild], rebuilt: Mapping[int, str]) -> tuple[list[PgStep], list[str]]:
    """The steps, and what keeps versions from being recorded. `rebuilt`: the indexes that come before, by oid."""
    steps, kept = [], []
    for drifted in drifts:
        left = [name for oid, name in drifted.left.items() if oid not in rebuilt]
        if left and drifted.left.keys() & rebuilt.keys():
            kept.append(f"the version of {drifted.drift.text} is not recorded, as not rebuilt: {listed(left, 3)}")
        elif not left and (obstacle := drifted.obstacle):
            kept += [obstacle] if drifted.left else []
        elif not left:
            steps.append(_step(drifted))
    return steps, kept


def _step(drifted: CollationRebuild) -> PgStep:
    drift, before = drifted.drift, tuple(drifted.left.values())
    return PgStep(
        object=drift.text,
        command=drift.command,
        reason=f"every index that it orders is rebuilt by version {drift.version}",
        lock=NO_LOCK,
        after_cancel="the next run does it",
        mandatory_follow_up=bool(before),
        required_objects=before,
        weight=STEP_OVERHEAD,
        method=Method.RECORD_VERSION,
        is_measured=False,
    )
