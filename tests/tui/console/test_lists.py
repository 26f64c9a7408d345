"""The lists at the left: pure functions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from engine import Advice, CheckLevel, EngineName, Level, Lock, LockImpact, Operation, OperationInfo, TargetInfo
from engine.config.model import TargetEntry
from engine.domain.advice import ByHand, CheckCause, DeadSpace
from engine.domain.errors import (
    ServerStartingError,
    ServerUnavailableError,
    TargetBusyError,
    TargetMissingError,
    TargetUnavailableError,
)
from engine.domain.surveys import FleetLevel, Survey, SurveyCause, SurveyReason
from tests.building import SQLITE_OPERATIONS
from tui.commands.advise import advice_lines
from tui.console.views.hints import why_nothing
from tui.console.views.line import Role, wrapped
from tui.console.views.lists import TargetState, operation_rows, target_rows

OFFERED = tuple(
    OperationInfo(operation=operation, summary=f"what {operation} is for", lock=Lock(LockImpact.WRITERS))
    for operation in SQLITE_OPERATIONS
)
INFO = TargetInfo(
    url="sqlite:///sales.db", engine=EngineName.SQLITE, version="3.46.0", facts={"size": 24_100_000}, operations=OFFERED
)
ADVICE = tuple(
    Advice(
        operation=operation, level=level, reason=f"the reason for {operation}", gain="much" if level != "none" else ""
    )
    for operation, level in (
        (Operation.REINDEX, Level.NOW),
        (Operation.VACUUM, Level.SOON),
        (Operation.ANALYZE, Level.NONE),
        (Operation.BACKUP, Level.NONE),
    )
)


def texts(*, width: int = 32, height: int = 100, at: Operation = Operation.ANALYZE) -> list[str]:
    chosen = {Operation.VACUUM}
    return [row.text.rstrip() for row in operation_rows(OFFERED, ADVICE, chosen, at, width=width, height=height)]


def word_of(state: TargetState) -> tuple[str, Role]:
    (row,) = target_rows({0: state}, 0, 24)
    text, role = row.spans[-1]
    return text.strip(), role


def test_how_urgent_each_operation_is() -> None:
    shown = texts()
    assert "[x] vacuum                  soon" in shown
    assert "[ ] reindex                  now" in shown
    assert "[ ] analyze                   ok" in shown
    assert "[ ] checkpoint" in shown  # no advice


def test_damage_is_worse_than_any_level() -> None:
    damaged = Advice(operation=Operation.CHECK, level=Level.NOW, reason="damaged", facts={"severity": "critical"})
    state = TargetState(entry=TargetEntry(name="sales", url="sales.db"), info=INFO, advice=(damaged,))
    assert word_of(state) == ("critical", Role.FAILED)


def test_no_operation_is_ok_on_a_damaged_database() -> None:
    found = Advice(operation=Operation.CHECK, level=Level.NOW, reason="damaged", facts={"severity": "critical"})
    rows = operation_rows(OFFERED, [*ADVICE, found], (), Operation.CHECK, width=32, height=100)
    shown = [row.text.rstrip() for row in rows]
    assert "[ ] check               critical" in shown
    assert "[ ] analyze                    -" in shown
    assert "[ ] reindex                  now" in shown


def test_what_a_survey_could_not_measure_is_told_by_the_advice() -> None:
    reason = SurveyReason(FleetLevel.UNKNOWN, SurveyCause.NOT_MEASURED, {"operations": ["vacuum"]})
    survey = Survey(
        target="sqlite:///sales.db", engine=EngineName.SQLITE, surveyed_at=0, level=reason.level, reasons=(reason,)
    )
    state = TargetState(entry=TargetEntry(name="sales", url="sales.db"), info=INFO, survey=survey)
    assert word_of(state)[0] == "unknown"
    assert word_of(replace(state, advice=ADVICE))[0] == "now"
    assert word_of(replace(state, advice=()))[0] == "unknown"


def test_that_no_backup_is_advised_is_not_taken_for_its_being_there() -> None:
    assert "[ ] backup" in texts()


def test_what_the_server_does_by_itself_has_no_checkbox_and_is_not_said_to_be_well() -> None:
    offered = (replace(OFFERED[0], by_server=True),)
    advice = (Advice(operation=OFFERED[0].operation, level=Level.NONE, reason="the server does it"),)
    (row, *_) = operation_rows(offered, advice, (), None, width=32, height=100)
    assert row.text.split() == ["vacuum", "none"]


def test_what_only_a_person_can_put_right_is_seen_where_there_is_little_room() -> None:
    found = ByHand(level=Level.SOON, reason="id has used 93%")
    advice = (Advice(operation=Operation.ANALYZE, level=Level.NONE, reason="", by_hand=found),)
    for height in (10, 13):
        rows = operation_rows(OFFERED, advice, (), Operation.VACUUM, width=32, height=height)
        assert "[ ] analyze              by hand" in [row.text for row in rows]


def test_dead_space_that_no_operation_is_advised_for_is_told_in_bytes() -> None:
    dead = (DeadSpace("sales.docs", 200_000_000, 250_000_000), DeadSpace("sales.orders", 24_000_000, 30_000_000))
    advice = (Advice(operation=Operation.ANALYZE, level=Level.NONE, reason="sales.docs: 80%", dead_space=dead),)
    rows = operation_rows(OFFERED, advice, (), Operation.VACUUM, width=32, height=20)
    shown = [row.text for row in rows]
    assert "[ ] analyze               224 MB" in shown
    assert "    sales.docs: 80%" in shown


def test_everything_is_said_where_there_is_room() -> None:
    shown = texts()
    assert shown[:5] == [
        "[x] vacuum                  soon",
        "    the reason for vacuum (much)",
        "    what vacuum is for",
        "    blocks writers",
        "[ ] analyze                   ok",
    ]


def test_where_there_is_less_room_the_reasons_of_what_is_needed_are_said() -> None:
    shown = texts(height=20)
    assert "    the reason for vacuum (much)" in shown
    assert "    the reason for analyze" not in shown
    assert shown[-4:] == ["", "the reason for analyze", "what analyze is for", "blocks writers"]
    assert texts(height=20, at=Operation.VACUUM)[-3:] == ["", "what vacuum is for", "blocks writers"]


def test_where_there_is_little_room_the_reason_of_the_one_under_the_cursor() -> None:
    shown = texts(height=13, at=Operation.VACUUM)
    assert shown[: len(OFFERED)] == [row for row in shown if row.startswith("[")]
    assert shown[len(OFFERED) :] == ["", "the reason for vacuum (much)", "what vacuum is for", "blocks writers"]


def test_a_narrow_list_keeps_the_level() -> None:
    advice = [Advice(operation=Operation.INCREMENTAL_VACUUM, level=Level.SOON, reason="")]
    rows = operation_rows(OFFERED, advice, (), None, width=24, height=9)
    assert rows[6].text == "[ ] incremental-va… soon"


def test_what_nobody_looked_at_is_not_said_to_be_well() -> None:
    advice = (
        Advice(operation=Operation.VACUUM, level=Level.UNKNOWN, reason="no page is free; half filled ones were not"),
        Advice(operation=Operation.ANALYZE, level=Level.NONE, reason=""),
    )
    rows = [row.text.rstrip() for row in operation_rows(OFFERED, advice, (), Operation.VACUUM, width=90, height=100)]
    assert rows[0].split() == ["[", "]", "vacuum", "unknown"]
    assert rows[1] == "    no page is free; half filled ones were not; press x for a full inspection"
    blind = [replace(advice[0], inspection_can_tell=False)]
    assert operation_rows(OFFERED, blind, (), Operation.VACUUM, width=90, height=100)[1].text.rstrip() == (
        "    no page is free; half filled ones were not"
    )
    state = TargetState(TargetEntry(name="sales.db", url="sales.db"), INFO, advice=advice)
    assert word_of(state) == ("unknown", Role.TEXT)
    assert why_nothing(state) == "nothing is known to be needed, and no operation is chosen"


def test_what_is_to_be_put_right_by_hand_says_why_and_is_not_said_to_be_well() -> None:
    advice = (
        Advice(
            operation=Operation.ANALYZE, level=Level.SOON, reason="found 3 orphans: mend them", needs_manual_fix=True
        ),
    )
    height = 2 * len(OFFERED) + 1
    rows = [row.text.strip() for row in operation_rows(OFFERED, advice, (), Operation.VACUUM, width=90, height=height)]
    assert "found 3 orphans: mend them" in rows
    state = TargetState(TargetEntry(name="sales.db", url="sales.db"), INFO, advice=advice)
    assert word_of(state) == ("soon", Role.WARNING)
    wanted = "nothing is needed until you have repaired what analyze found, and no operation is chosen"
    assert why_nothing(state) == wanted


def test_how_urgent_a_target_is() -> None:
    entry = TargetEntry(name="sales.db", url="sales.db")
    assert word_of(TargetState(entry)) == ("…", Role.DIM)
    assert word_of(TargetState(entry, INFO)) == ("24.1 MB", Role.DIM)
    assert word_of(TargetState(entry, INFO, advice=())) == ("24.1 MB", Role.DIM)
    assert word_of(TargetState(entry, INFO, advice=ADVICE)) == ("now", Role.FAILED)
    assert word_of(TargetState(entry, INFO, advice=ADVICE[1:])) == ("soon", Role.WARNING)
    assert word_of(TargetState(entry, INFO, advice=ADVICE[2:])) == ("ok", Role.DIM)


def test_what_makes_no_target_urgent_in_the_fleet_makes_none_urgent_here() -> None:
    def word(**facts: Any) -> str:
        advice = Advice(**{"operation": Operation.ANALYZE, "level": Level.SOON, "reason": "", **facts})
        return word_of(TargetState(TargetEntry(name="sales.db", url="sales.db"), INFO, advice=(advice,)))[0]

    assert word() == "soon"
    assert word(level_of_large=Level.NONE) == "small"
    assert word(operation=Operation.CHECK, cause=CheckCause.NEVER_CHECKED) == "unchecked"
    assert word(operation=Operation.CHECK, cause="broken_rule") == "soon"


def test_a_target_that_cannot_be_opened_says_why() -> None:
    missing = TargetMissingError("sales.db", "there is no such file", "check the path")
    locked_up = TargetUnavailableError("sales.db", "no permission to read it", "chmod it")
    stopped = ServerUnavailableError("shop", "the server does not answer")
    for error, word in ((missing, "× missing"), (locked_up, "× unavailable"), (stopped, "× server down")):
        first, second = target_rows({0: TargetState(TargetEntry(name="sales.db", url="sales.db"), error=error)}, 0, 30)
        assert first.text.endswith(word)
        assert second.text.strip() == error.why


def test_a_target_that_is_busy_is_locked_rather_than_out_of_reach() -> None:
    error = TargetBusyError("sales.db", "the lock could not be had in 1 s")
    starting = {0: TargetState(TargetEntry(name="shop", url="shop"), error=ServerStartingError("shop", "it starts up"))}
    assert target_rows(starting, 0, 30)[0].text.endswith(" starting up")
    first, _ = target_rows({0: TargetState(TargetEntry(name="sales.db", url="sales.db"), error=error)}, 0, 30)
    assert first.spans[-1] == (" locked", Role.WARNING)


def test_a_long_name_and_its_level_fit_where_the_terminal_is_80_cells_wide() -> None:
    advice = [Advice(operation=Operation.INCREMENTAL_VACUUM, level=Level.SOON, reason="")]
    rows = operation_rows(OFFERED, advice, (), None, width=27, height=9)
    assert rows[6].text == "[ ] incremental-vacuum soon"


def test_how_thorough_a_check_is_stands_beside_it() -> None:
    rows = operation_rows(OFFERED, (), (), None, width=27, height=9, check=CheckLevel.QUICK)
    assert rows[4].text.rstrip() == "[ ] check (quick)"


def test_where_not_even_that_has_room_the_reason_comes_first() -> None:
    count = len(OFFERED)
    boxes = texts(height=count + 4)[:count]
    why, what, lock = "the reason for analyze", "what analyze is for", "blocks writers"
    assert texts(height=count + 4) == [*boxes, "", why, what, lock]
    assert texts(height=count + 3) == [*boxes, "", why]
    assert texts(height=count + 1) == [*boxes, why]
    assert texts(height=count + 2, at=Operation.CHECK) == [*boxes, "what check is for", lock]


def test_a_reason_that_is_cut_off_ends_with_an_ellipsis() -> None:
    advice = (Advice(operation=Operation.VACUUM, level=Level.SOON, reason="a reason of many words, " * 20),)
    rows = operation_rows(OFFERED, advice, (), Operation.VACUUM, width=32, height=len(OFFERED) + 3)
    assert len(rows) == len(OFFERED) + 3
    assert [row.text.endswith("…") for row in rows[-3:]] == [False, False, True]


def test_what_holds_for_all_operations_stands_right_below_them_where_there_is_little_room() -> None:
    note = wrapped("r runs them", 32)
    rows = {
        height: [
            row.text.rstrip()
            for row in operation_rows(OFFERED, (), (), Operation.CHECK, width=32, height=height, note=note)
        ]
        for height in (len(OFFERED) + 3, 100)
    }
    assert rows[len(OFFERED) + 3][len(OFFERED) :] == ["", "r runs them"]
    assert rows[100][-2:] == ["", "r runs them"]


@pytest.mark.parametrize(
    ("level", "width", "words"),
    [
        (Level.SOON, 22, "[ ] check (quick) soon"),
        (Level.SOON, 20, "[ ] check quick soon"),
        (Level.UNKNOWN, 20, "[ ] check    unknown"),
        (Level.NONE, 20, "[ ] check (quick) ok"),
    ],
)
def test_where_it_is_narrow_how_thorough_a_check_is_is_whole_or_not_said(level: Level, width: int, words: str) -> None:
    advice = (Advice(operation=Operation.CHECK, level=level, reason="it is due"),)
    rows = operation_rows(OFFERED, advice, (), None, width=width, height=9, check=CheckLevel.QUICK)
    assert words in [row.text for row in rows]


def test_what_no_operation_puts_right_makes_the_target_urgent_and_not_the_operation() -> None:
    by_hand = ByHand(level=Level.NOW, reason="tiny: id has used 97%", is_critical=True)
    advice = (Advice(operation=Operation.VACUUM, level=Level.NONE, reason="dense", by_hand=by_hand),)
    rows = [row.text.strip() for row in operation_rows(OFFERED, advice, (), Operation.VACUUM, width=90, height=100)]
    assert rows[0].split() == ["[", "]", "vacuum", "by", "hand"]
    assert "by hand (critical): tiny: id has used 97%" in rows
    state = TargetState(TargetEntry(name="sales.db", url="sales.db"), INFO, advice=advice)
    assert word_of(state) == ("critical", Role.FAILED)
    calm = replace(advice[0], by_hand=ByHand(level=Level.NONE, reason="tables of MyISAM: log"))
    rows = [row.text.strip() for row in operation_rows(OFFERED, (calm,), (), None, width=90, height=100)]
    assert rows[0].split()[-2:] == ["by", "hand"]  # never "ok": there is something to do
    assert "by hand (not urgent): tables of MyISAM: log" in rows
    state = TargetState(TargetEntry(name="sales.db", url="sales.db"), INFO, advice=(calm,))
    assert word_of(state) == ("ok", Role.DIM)


def test_on_a_standby_what_is_done_on_the_primary_is_not_ok() -> None:
    advice = (Advice(operation=Operation.VACUUM, level=Level.NONE, reason="ask its primary", is_for_primary=True),)
    rows = operation_rows(OFFERED, advice, (), Operation.VACUUM, width=30, height=100)
    assert rows[0].text.split()[-1] == "primary"
    *_, line = advice_lines("postgresql://db2/shop", advice, width=None, coloured=False)
    assert line.split()[:2] == ["vacuum", "primary"]
