"""What a check found, table by table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from engine.domain.effects import CheckResult
from engine.domain.humanize import listed
from engine.domain.requests import CheckLevel
from engine.domain.statuses import Status
from engine.targets.check_results import CHECK_AGAIN
from engine.targets.mysql.planning.operation_specs import recovery
from engine.targets.mysql.planning.steps import Method, MySqlStep
from engine.targets.mysql.reading.tables import REPAIRABLE, Table
from engine.targets.step_execution import StepResult

_DATA_FILES: Final = {"MyISAM": "MYD", "Aria": "MAD"}


class Checks:
    """The findings of one check operation so far."""

    def __init__(self, level: CheckLevel, planned: int, recovers: Mapping[str, str]) -> None:
        """`recovers`: see `Server`."""
        self._level, self._planned, self._recovers = level, planned, recovers
        self._damaged: dict[str, Table] = {}
        self._broken_keys: dict[str, str] = {}
        """The finding of each."""
        self._damage: str | None = None
        self._through = self._findings = 0

    def add(self, step: MySqlStep, result: StepResult) -> None:
        # A dropped table is skipped, and counts as checked.
        self._through += result.status in {Status.COMPLETED, Status.SKIPPED} or bool(result.findings)
        self._findings += len(result.findings)
        if not result.findings:
            return
        if step.method is Method.FOREIGN_KEY:
            self._broken_keys[step.object] = result.findings[0]
        else:
            self._damaged[step.table.shown] = step.table
            self._damage = self._damage or result.findings[0]

    def result(self) -> CheckResult:
        return CheckResult(
            findings=self._findings,
            level=self._level,
            complete=self._through >= self._planned,
            damage=self._damage,
            broken_rule=next(iter(self._broken_keys.values()), None),
            remedy=remedy(list(self._damaged.values()), list(self._broken_keys), self._recovers),
            damaged_tables=tuple(self._damaged),
        )


def remedy(damaged: list[Table], broken_keys: list[str], recovers: Mapping[str, str]) -> str:
    """What to do about the findings; "" if there are none. `recovers`: see `Server`."""
    repairable = [table.shown for table in damaged if table.engine in REPAIRABLE]
    would_change = any(table.engine in recovers for table in damaged)
    others = [table.shown for table in damaged if table.engine not in REPAIRABLE]
    texts = []
    if others:
        texts.append(
            f"Restore {listed(others, 3)} from a backup. Without one, dump what can still be read, drop the table and"
            " load it again; innodb_force_recovery helps where the server does not start. Examine the disk and the"
            " memory of the server."
        )
    if repairable:
        at_once = " before anything opens them" if would_change else ""
        texts.append(f"Copy the files of {listed(repairable, 3)}{at_once}, then run repair.")
    for engine, how in recovers.items():
        if names := [table.shown for table in damaged if table.engine == engine]:
            texts.append(f"{recovery(engine, how)}: {listed(names, 3)}.{_kept(engine, how)}")
    if broken_keys:
        texts.append(f"Add the missing rows, or remove those that refer to them: {listed(broken_keys, 3)}.")
    return " ".join([*texts, CHECK_AGAIN]) if texts else ""


def _kept(engine: str, how: str) -> str:
    """Where the old data file stays; "" if it does not."""
    if "BACKUP" not in how:
        return ""
    return f" The old data file stays in the directory of the database, as TABLE.{_DATA_FILES[engine]}-TIME.BAK."
