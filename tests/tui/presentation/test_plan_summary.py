"""The text of a plan, on the command line and in the console."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine import Lock, LockImpact, Operation, OperationPlan
from engine.domain.humanize import about
from tests.tui.plans import NOT_NEEDED, REFUSED, VACUUM, plan, reindex, vacuum
from tui.commands.plan_report import plan_lines
from tui.console.views.line import Role
from tui.console.views.plan_document import plan_document
from tui.presentation import plan_summary

TUNED = vacuum(
    warnings=("rows of log get new rowids",),
    settings=("PRAGMA temp_store=MEMORY", "PRAGMA threads=2"),
    settings_reason="the copy of 1 MB fits into free memory",
)


def page(*operations: OperationPlan, width: int = 100) -> list[str]:
    return [line.text.rstrip() for line in plan_document(plan(*operations), "sales.db", width)]


def test_a_plan_says_why_what_whom_it_blocks_and_what_a_cancel_leaves() -> None:
    assert plan_lines(plan(TUNED)) == [
        "sqlite:///srv/sales.db  sqlite  1.00 MB",
        "1 operation, 1 step, about 3 s in all; nothing has run yet",
        "options: lock timeout 5 s",
        "",
        "vacuum  1 warning  1 step, about 3 s",
        "  warning   rows of log get new rowids",
        "  settings  PRAGMA temp_store=MEMORY",
        "            PRAGMA threads=2",
        "  because   the copy of 1 MB fits into free memory",
        "  VACUUM",
        "    why     31% free",
        "    lock    blocks everyone",
        "    cancel  the file stays as it was",
        "    needs   2.00 MB of disk space, takes about 3 s",
    ]


def test_the_page_of_a_plan_says_the_same() -> None:
    assert page(TUNED) == [
        "sales.db  1.00 MB  wal  20% empty",
        "1 operation, 1 step, about 3 s in all; nothing has run yet.",
        "options: lock timeout 5 s",
        "",
        "1 vacuum  1 warning  1 step, about 3 s",
        "  rows of log get new rowids",
        "  PRAGMA temp_store=MEMORY; PRAGMA threads=2",
        "    the copy of 1 MB fits into free memory",
        "  VACUUM",
        "    31% free",
        "    blocks everyone",
        "    cancel: the file stays as it was",
        "    needs 2.00 MB of disk space, takes about 3 s",
    ]


@pytest.mark.parametrize(
    ("operation", "verdict"),
    [
        (vacuum(), "ready"),
        (vacuum(warnings=("a", "b")), "2 warnings"),
        (REFUSED, "refused"),
        (NOT_NEEDED, "nothing to do"),
        (replace(NOT_NEEDED, warnings=("a",)), "nothing to do"),
    ],
)
def test_the_verdict_is_said_in_words(operation: OperationPlan, verdict: str) -> None:
    assert plan_summary.verdict(operation) == verdict
    name = operation.operation.value
    assert any(line.startswith(f"{name}  {verdict}") for line in plan_lines(plan(operation)))
    assert any(line.startswith(f"1 {name}  {verdict}") for line in page(operation))


def test_what_is_odd_about_the_whole_and_what_estimates_go_by_is_said() -> None:
    odd = replace(plan(replace(vacuum(), estimated_from="the last 3 runs")), warnings=("REINDEX repeats\x1b work",))
    lines = plan_lines(odd)
    assert lines[3] == "warning: REINDEX repeats\\x1b work"
    assert lines[6] == "  estimate  the last 3 runs"
    said = [line.text.strip() for line in plan_document(odd, "sales.db", 100)]
    assert said[3] == "REINDEX repeats\\x1b work"
    assert said[6] == "estimate: the last 3 runs"


def test_what_would_be_refused_or_is_not_needed_says_why() -> None:
    lines = plan_lines(plan(REFUSED, NOT_NEEDED))
    assert lines[1:] == [
        "2 operations, 0 steps; nothing has run yet",
        "options: lock timeout 5 s",
        "",
        "vacuum  refused",
        "  the disk has no room\\x1b: 1 MB of 2 MB",
        "",
        "checkpoint  nothing to do",
        "  the database keeps no log",
    ]
    document = plan_document(plan(REFUSED, NOT_NEEDED), "sales.db", 100)
    roles = {text.strip(): role for line in document for text, role in line.spans}
    assert roles["the disk has no room\\x1b: 1 MB of 2 MB"] is Role.FAILED
    assert roles["the database keeps no log"] is Role.DIM


def test_what_is_the_same_for_forty_indexes_is_said_once() -> None:
    for lines in (plan_lines(plan(reindex(40))), page(reindex(40))):
        text = "\n".join(lines)
        for words in ("index of table item", "blocks writers", "the old index stays"):
            assert text.count(words) == 1
        assert "10.0 MB of disk space, takes about 10 s" in text


def test_of_many_steps_that_are_alike_the_first_are_shown_and_the_others_counted() -> None:
    lines = plan_lines(plan(reindex(40), reindex(10)))
    commands = [line.strip() for line in lines if "REINDEX" in line or "..." in line]
    assert [command.split()[0] for command in commands] == ["REINDEX"] * 10 + ["..."] + ["REINDEX"] * 10
    assert commands[10] == "... and 30 steps more like these; --json shows all"
    assert "\n".join(str(line) for line in page(reindex(40))).count("REINDEX") == 40


def test_a_sentence_that_changes_is_said_again() -> None:
    first, second = reindex(2).steps
    steps = (first, replace(second, lock=Lock(LockImpact.EVERYONE)))
    lines = plan_lines(plan(OperationPlan(operation=Operation.REINDEX, steps=steps)))
    assert [line.split(maxsplit=1)[0] for line in lines[5:]] == [
        "REINDEX", "why", "lock", "cancel", "needs", "REINDEX", "lock", "needs",
    ]  # fmt: skip


def test_the_lock_of_another_command_is_said_though_it_is_the_same() -> None:
    first, second = reindex(2).steps
    for other in (replace(second, command="SELECT * FROM item"), replace(second, object=first.object)):
        lines = plan_lines(plan(OperationPlan(operation=Operation.REINDEX, steps=(first, other))))
        assert [line.split(maxsplit=1)[0] for line in lines[5:]] == [
            "REINDEX", "why", "lock", "cancel", "needs", other.command.split()[0], "lock", "needs",
        ]  # fmt: skip


def test_what_steps_need_is_said_of_each_also_where_it_is_the_same() -> None:
    first, second = reindex(2).steps
    steps = (first, replace(second, disk_needed=first.disk_needed, estimate=first.estimate))
    lines = plan_lines(plan(OperationPlan(operation=Operation.REINDEX, steps=steps)))
    assert lines.count("    needs   1.00 MB of disk space, takes about 1 s") == 2


def test_that_steps_take_next_to_no_time_is_said_once_where_all_of_them_do() -> None:
    operation = reindex(3)
    quick = replace(operation, steps=tuple(replace(step, estimate=0.3) for step in operation.steps))
    for lines in (plan_lines(plan(quick)), page(quick)):
        assert "\n".join(lines).count("less than 1 s") == 2  # in all, and of the operation
        assert "    takes" not in "\n".join(lines)
    slow = replace(operation, steps=tuple(replace(step, estimate=0.5) for step in operation.steps))
    assert "\n".join(page(slow)).count("takes less than 1 s") == 3


def test_what_needs_no_room_takes_only_time() -> None:
    quick = OperationPlan(operation=Operation.CHECK, steps=(replace(VACUUM, disk_needed=None),))
    assert plan_lines(plan(quick))[-1] == "    takes   about 3 s"
    assert page(quick)[-1] == "    takes about 3 s"


def test_estimates_are_added_up() -> None:
    assert plan_summary.extent(reindex(4)) == "4 steps, about 10 s"
    assert plan_summary.extent(reindex(4, parallel=2)) == "4 steps, 2 at once, about 5 s"
    assert plan_summary.extent(reindex(2, parallel=8)) == "2 steps, 8 at once, about 2 s"  # not below the longest
    assert plan_summary.whole_extent([vacuum(), reindex(4), NOT_NEEDED]) == "3 operations, 5 steps, about 13 s in all"


def test_what_takes_a_time_that_is_not_known_makes_a_sum_a_lower_bound() -> None:
    unknown = OperationPlan(operation=Operation.ANALYZE, steps=(replace(VACUUM, estimate=None),))
    assert plan_summary.whole_extent([vacuum(), unknown]) == "2 operations, 2 steps, over 3 s in all"
    assert plan_summary.whole_extent([unknown]) == "1 operation, 1 step"
    soon = OperationPlan(operation=Operation.CHECK, steps=(replace(VACUUM, estimate=0.2),))
    assert plan_summary.whole_extent([soon, unknown]) == "2 operations, 2 steps"
    assert plan_summary.whole_extent([soon]) == "1 operation, 1 step, less than 1 s in all"
    assert unknown.estimate is None


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "less than 1 s"), (7.4, "about 7 s"), (200.4, "about 3m20s"), (4830, "about 1h20m")],
)
def test_an_estimate_pretends_no_precision(seconds: float, words: str) -> None:
    assert about(seconds) == words


@pytest.mark.parametrize("width", [40, 78])
def test_the_page_of_a_plan_fits_its_width(width: int) -> None:
    wide = replace(TUNED, warnings=("a word " * 40,), settings_reason="because " * 40)
    assert max(map(len, page(wide, reindex(3), NOT_NEEDED, REFUSED, width=width))) <= width


def test_a_duration_begins_when_the_lock_is_free() -> None:
    waits = vacuum(warnings=("it would have to wait: process 4711 has locked it",), waits=True)
    assert plan_summary.extent(waits) == "1 step, about 3 s after the lock is free"
    assert (
        plan_summary.whole_extent([waits, reindex(4)])
        == "2 operations, 5 steps, about 13 s in all after the lock is free"
    )
    assert any("about 3 s in all after the lock is free" in line for line in plan_lines(plan(waits)))
    assert any("about 3 s after the lock is free" in line for line in page(waits))
