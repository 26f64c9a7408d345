"""What the steps of a plan say of their tables."""

from __future__ import annotations

from engine import Options
from engine.targets.mysql.planning.operation_steps import check_steps, repair_steps
from engine.targets.mysql.planning.undo_steps import plan_purge
from engine.targets.mysql.reading.tables import Table
from engine.targets.mysql.reading.undo import ACTIVE, HELPER, UndoSpace
from engine.targets.step_execution import NOTHING_CHANGED
from tests.engine.targets.mysql.flavors import SERVER


def test_a_check_that_is_cancelled_marks_only_tables_that_can_be_marked() -> None:
    tables = [Table(database="shop", name=engine, engine=engine) for engine in ("InnoDB", "MyISAM")]
    left = {step.object: step.after_cancel for step in check_steps(tables, (), full=False)}
    assert left["InnoDB"] == NOTHING_CHANGED
    assert "marked as crashed" in left["MyISAM"]


def test_the_disk_space_of_a_table_that_cannot_be_read_is_unknown() -> None:
    crashed = Table(database="shop", name="log", engine="MyISAM", comment="Table 'log' is marked as crashed")
    (step,) = repair_steps([crashed], Options(), SERVER, {})
    assert step.disk_needed is None


def test_what_an_interrupted_purge_left_is_put_right_before_others_need_it() -> None:
    def purged(*spaces: UndoSpace) -> list[tuple[str, bool]]:
        return [
            (step.object, f"CREATE UNDO TABLESPACE `{HELPER}`" in step.command) for step in plan_purge(spaces).steps
        ]

    large, left = UndoSpace("b", ACTIVE, 10**9), UndoSpace("a", "inactive", 0)
    helper = UndoSpace(HELPER, ACTIVE, 0)
    assert purged(helper, left, large) == [("a", False), (HELPER, False), ("b", True)]
    assert purged(large, UndoSpace("c", ACTIVE, 0), UndoSpace("d", ACTIVE, 0)) == [("b", False)]
