"""Each wait through `Limits`, with the tests in which a cancel and the time limit end it."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
ENGINE = TESTS.parent / "engine"
OF_LIMITS = "engine/targets/test_limits.py::test_r32_"
CANCEL = OF_LIMITS + "a_cancel_ends_what_runs_before_the_first_step"
LIMIT = OF_LIMITS + "the_end_of_the_window_ends_what_runs_before_the_first_step"
PAUSE = OF_LIMITS + "a_pause_in_work_ends_by_a_cancel_and_not_at_the_limit"
SQLITE = "engine/targets/sqlite/test_cancel.py::test_"
NOT_BEGUN = SQLITE + "r32_what_waits_for_its_lock_at_the_end_of_the_window_does_not_begin"
POSTGRES, MYSQL = "engine/targets/postgres/", "engine/targets/mysql/"
POOL = (
    POSTGRES + "running/test_connection_pool.py::test_a_server_that_says_nothing_holds_up_no_cancel_and_no_time_limit"
)
OWN_END = "it ends by itself"
WAITS = {
    "execution/attempt.py": (1, CANCEL, LIMIT),
    "execution/preparation.py": (1, CANCEL, OWN_END),
    "execution/recovery.py": (
        2,
        "engine/execution/test_recovery.py::test_r32_a_stop_ends_a_recovery_that_waits_for_its_lock_and_hands_it_back",
        OWN_END,
    ),
    "targets/connection_pool.py": (2, POOL, POOL),
    "targets/mysql/running/operation.py": (
        1,
        MYSQL + "test_cancel.py::test_r32_a_global_read_lock_keeps_no_histogram_from_its_end",
        MYSQL + "test_cancel.py::test_r32_a_global_read_lock_keeps_no_histogram_from_its_end",
    ),
    "targets/mysql/running/sizes.py": (
        1,
        MYSQL + "running/test_sizes_of_steps.py::test_r32_a_cancel_and_the_limit_end_the_pause",
        MYSQL + "running/test_sizes_of_steps.py::test_r32_a_cancel_and_the_limit_end_the_pause",
    ),
    "targets/mysql/running/undo.py": (
        1,
        MYSQL + "test_undo.py::test_r32_a_purge_that_waits_for_a_backup_is_cancelled",
        OWN_END,
    ),
    "targets/outage.py": (
        1,
        POSTGRES + "test_server_down.py::test_a_cancel_ends_the_wait_at_once",
        POSTGRES + "test_server_down.py::test_the_time_limit_ends_the_wait_and_nothing_more_begins",
    ),
    "targets/postgres/running/operation.py": (1, PAUSE, OWN_END),
    "targets/sqlite/running/methods.py": (
        3,
        SQLITE + "what_was_given_back_before_a_cancel_is_told",
        SQLITE + "r32_what_waits_in_the_midst_of_its_work_at_the_end_of_the_window_has_begun",
    ),
    "targets/sqlite/running/swap.py": (1, PAUSE, NOT_BEGUN),
    "targets/throttling.py": (
        1,
        POSTGRES + "test_follow_ups.py::test_r32_a_cancel_ends_a_follow_up_that_is_held_back",
        POSTGRES + "test_standby.py::test_r32_a_standby_that_never_catches_up_does_not_keep_a_job_from_its_end",
    ),
}
"""Waits in each file, the test that ends one by a cancel, and the one that ends it by the time limit."""


def waits(tree: ast.AST) -> list[ast.Call]:
    """Those that know a cancel and a time limit."""
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in {"wait", "pause", "unless_cancelled"}
        and (
            ast.unparse(node.func.value).rpartition(".")[2] in {"context", "limits", "attempt"}
            or node.func.attr == "unless_cancelled"
        )
    ]


def test_r32_each_wait_of_an_attempt_stands_here() -> None:
    found = Counter(
        str(path.relative_to(ENGINE)) for path in ENGINE.rglob("*.py") for _ in waits(ast.parse(path.read_text()))
    )
    assert found == {name: number for name, (number, *_) in WAITS.items()}, "name the tests that end a new wait"


@pytest.mark.parametrize("test", sorted({test for _, *tests in WAITS.values() for test in tests} - {OWN_END}))
def test_r32_each_of_them_has_tests(test: str) -> None:
    path, _, name = test.partition("::")
    assert f"def {name}(" in (TESTS / path).read_text()
