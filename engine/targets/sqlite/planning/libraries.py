"""Which steps the bundled SQLite library runs, and what differs there: pure functions."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Final

from engine.domain.humanize import listed
from engine.domain.requests import SqliteLibrary
from engine.targets.plans import OperationPlan
from engine.targets.sqlite.connection.bundled import Library
from engine.targets.sqlite.planning.steps import REBUILDING, SqliteStep

COMPUTED_INDEXES: Final = """
SELECT indexes.name FROM main.sqlite_schema AS tables
JOIN temp.pragma_index_list(tables.name, 'main') AS indexes
WHERE tables.type = 'table' AND (indexes.partial OR EXISTS (
  SELECT 1 FROM temp.pragma_index_xinfo(indexes.name, 'main') AS columns
  WHERE columns.cid = -2 OR columns.cid IN (
    SELECT cid FROM temp.pragma_table_xinfo(tables.name, 'main') WHERE hidden IN (2, 3)
  )
))
"""
"""Indexes with a WHERE, on expressions or on generated columns: two versions may compute other values for them."""
SYSTEM_LIBRARY: Final = """
SELECT sqlite_version(), synchronous, secure_delete
FROM temp.pragma_synchronous('main'), (SELECT secure_delete FROM temp.pragma_secure_delete)
"""
NOT_INSTALLED: Final = (
    "the package apsw, which brings the bundled SQLite, is not installed"
    " (pip install '.[bundled]' in the directory of its source)"
)
OVERWRITES_NOTHING: Final = (
    "the bundled SQLite does not overwrite deleted data with zeros; that of the system does (secure_delete)"
)


def by_bundled(
    plan: OperationPlan,
    bundled: Library,
    system: Library,
    settings: Sequence[str],
    computed: Collection[str],
    *,
    overwrites_deleted: bool,
) -> OperationPlan:
    """The plan, with the steps that rebuild indexes run by the bundled library.

    `settings`: commands that set up its connection as those of the system are. `computed`: see COMPUTED_INDEXES.
    `overwrites_deleted`: whether the system's library overwrites deleted data with zeros.
    """
    staying = frozenset(computed)
    steps = [
        replace(step, library=SqliteLibrary.BUNDLED, settings=(*settings, *step.settings))
        if isinstance(step, SqliteStep) and step.method in REBUILDING and not _objects(step, staying)
        else step
        for step in plan.steps
    ]
    if not any(isinstance(step, SqliteStep) and step.library is SqliteLibrary.BUNDLED for step in steps):
        why = "every index has a WHERE, or is on expressions or generated columns, which it may compute differently"
        return replace(plan, warnings=(*plan.warnings, f"the bundled SQLite rebuilds nothing: {why}"))
    reason = f"SQLite {bundled.version} of apsw instead of {system.version} of the system"
    if left := sorted(name for step in plan.steps for name in _objects(step, staying)):
        reason += f", but not for {listed(left)}: a WHERE, an expression or a generated column may differ there"
    warnings = plan.warnings
    if overwrites_deleted and "SECURE_DELETE" not in bundled.options:
        warnings += (OVERWRITES_NOTHING,)
    return replace(plan, steps=tuple(steps), warnings=warnings, settings_reason=reason)


def _objects(step: object, computed: frozenset[str]) -> frozenset[str]:
    """The computed indexes that a step rebuilds; one that names none rebuilds all."""
    if not isinstance(step, SqliteStep) or step.method not in REBUILDING:
        return frozenset()
    named = frozenset(step.all_objects)
    return computed if step.command == "REINDEX" else computed & named
