"""What is read from the words of VACUUM, CLUSTER and ANALYZE, as each version says them."""

from __future__ import annotations

import pytest

from engine.domain.statuses import Status
from engine.targets.postgres.running.effects import Totals, effects
from engine.targets.postgres.running.invalid_indexes import is_copy_of
from engine.targets.postgres.running.statement import Notice
from engine.targets.step_execution import StepResult
from engine.targets.totals import with_sizes

NEWER = (
    'finished vacuuming "shop.public.item": index scans: 1\n'
    "pages: 123 removed, 124 remain, 247 scanned (100.00% of total), 0 eagerly scanned\n"
    "tuples: 10000 removed, 10000 remain, 42 are dead but not yet removable\n"
    "removable cutoff: 757, which was 0 XIDs old when operation ended"
)
OLDER = 'table "item": found 10000 removable, 10000 nonremovable row versions in 207 out of 207 pages'
FULL = '"public.item": found 5000 removable, 10000 nonremovable row versions in 207 pages'
SAMPLED = (
    '"item": scanned 207 of 207 pages, containing 10000 live rows and 5000 dead rows; 9 rows in sample,'
    " 10000 estimated total rows"
)
TRUNCATED = 'table "item": truncated 247 to 124 pages'


@pytest.mark.parametrize(
    ("notices", "found"),
    [
        (
            [Notice("INFO", NEWER), Notice("INFO", TRUNCATED)],
            {"rows_removed": 10_000, "rows_kept": 42, "pages_removed": 123, "index_scans": 1},
        ),
        (
            [Notice("INFO", OLDER, "42 dead row versions cannot be removed yet, oldest xmin: 738\nSkipped 0 pages")],
            {"rows_removed": 10_000, "rows_kept": 42},
        ),
        ([Notice("INFO", FULL, "0 dead row versions cannot be removed yet.")], {"rows_removed": 5_000, "rows_kept": 0}),
        ([Notice("INFO", TRUNCATED)], {"pages_removed": 123}),
        ([Notice("INFO", SAMPLED)], {"rows_sampled": 9}),
        ([Notice("WARNING", NEWER)], {}),
        ([Notice("INFO", "Vakuum von »item« fertig")], {}),
    ],
)  # fmt: skip
def test_each_version_is_understood(notices: list[Notice], found: dict[str, int]) -> None:
    assert effects(notices) == found


def test_a_table_and_its_toast_count_together() -> None:
    assert effects([Notice("INFO", NEWER), Notice("INFO", NEWER)])["rows_removed"] == 20_000


def test_totals_add_up_what_steps_did() -> None:
    totals = Totals()
    assert totals.facts() == {}
    for before, after in ((100, 40), (10, 10)):
        effect = with_sizes({"rows_removed": 5}, before, after)
        totals.add(StepResult(status=Status.COMPLETED, effect=effect))
    totals.add(StepResult(status=Status.SKIPPED))
    assert totals.facts() == {"rows_removed": 10, "back_bytes": 60, "steps_completed": 2, "steps_skipped": 1}


def test_sizes_that_are_not_known_are_not_told() -> None:
    assert with_sizes({"rows_removed": 1}, None, 5) == {"rows_removed": 1}


@pytest.mark.parametrize(
    ("name", "index", "is_copy"),
    [
        ("item_name_ccnew", "item_name", True),
        ("item_name_ccold12", "item_name", True),
        ("item_name_ccnew", "item", False),
        ("other_ccnew", "item_name", False),
        ("x" * 57 + "_ccnew", "x" * 63, True),
        ("y" * 57 + "_ccnew", "x" * 63, False),
    ],
)
def test_what_is_a_copy_of_an_index(name: str, index: str, is_copy: bool) -> None:
    assert is_copy_of(name, index) is is_copy
