"""What a step did, parsed from VERBOSE messages in English: pure functions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from engine.domain.statuses import Status
from engine.domain.steps import Facts
from engine.targets import totals
from engine.targets.postgres.planning.operation_steps import PAGE
from engine.targets.postgres.running.statement import Notice
from engine.targets.step_execution import StepResult

_VACUUMED: Final = re.compile(r"^tuples: (\d+) removed, \d+ remain, (\d+) are dead but not yet removable", re.MULTILINE)
_PAGES: Final = re.compile(r"^pages: (\d+) removed, \d+ remain", re.MULTILINE)
_SCANS: Final = re.compile(r": index scans: (\d+)$", re.MULTILINE)
# VACUUM before PostgreSQL 15, and VACUUM FULL.
_FOUND: Final = re.compile(r": found (\d+) removable, \d+ nonremovable row versions in \d+ (?:out of \d+ )?pages$")
_KEPT: Final = re.compile(r"^(\d+) dead row versions cannot be removed yet")
_TRUNCATED: Final = re.compile(r": truncated (\d+) to (\d+) pages$")
_SAMPLED: Final = re.compile(r"; (\d+) rows in sample, (\d+) estimated total rows$")


def effects(notices: Sequence[Notice]) -> dict[str, int]:
    """`rows_removed`, `rows_kept` (dead, and not removable yet), `pages_removed`, `index_scans`, `rows_sampled`.

    Sums over a table and its TOAST table; missing messages give no key.
    """
    found: dict[str, int] = {}

    def add(name: str, number: str | int) -> None:
        found[name] = found.get(name, 0) + int(number)

    # PostgreSQL 15 and later report pages twice.
    tells_pages = any(_PAGES.search(notice.message) for notice in notices)
    for notice in notices:
        if not notice.is_info:
            continue
        # Only the end of the first line is parsed: a table may have any name.
        text = notice.message
        if match := _VACUUMED.search(text):
            add("rows_removed", match[1])
            add("rows_kept", match[2])
        if match := _PAGES.search(text):
            add("pages_removed", match[1])
        if match := _SCANS.search(text):
            add("index_scans", match[1])
        if match := _FOUND.search(text):
            add("rows_removed", match[1])
            if kept := _KEPT.search(notice.detail):
                add("rows_kept", kept[1])
        if not tells_pages and (match := _TRUNCATED.search(text)):
            add("pages_removed", int(match[1]) - int(match[2]))
        if match := _SAMPLED.search(text):
            add("rows_sampled", match[1])
    return found


class Totals(totals.Totals):
    """The sums over all steps."""

    _all_measured = True

    def add(self, result: StepResult, *, counts: bool = True) -> None:
        effect = result.effect or {}
        if "size_before" not in effect:
            if isinstance(pages := effect.get("pages_removed"), int):
                self._add("back_bytes", pages * PAGE)
            else:
                self._all_measured = False
        if counts and isinstance(objects := effect.get("objects"), tuple):
            self._add("steps_completed", len(objects))
            counts = counts and result.status is Status.CANCELLED  # what else it has not done has steps of its own
        super().add(result, counts=counts)

    def facts(self) -> Facts:
        if not self._all_measured and self._sums.get("back_bytes", 0) < 0:  # incomplete, and would show as growth
            return {name: fact for name, fact in super().facts().items() if name != "back_bytes"}
        return super().facts()
