"""When the name of a target must be typed before a run: decided by values, never by a phrase."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine import EngineName, Lock, LockImpact, LockScope, Operation, OperationPlan, Plan
from engine.targets.lock_impact import NO_LOCK, strongest
from tests.tui.plans import VACUUM
from tui.presentation.lock_format import format_lock
from tui.presentation.risk import confirmation_needed, is_production, production_risk, risks, word_to_type

BRIEFLY = Lock(LockImpact.MAINTENANCE, LockScope.TABLE, momentary=LockImpact.EVERYONE)


@pytest.mark.parametrize("label", ["PROD", "prod", "Production EU", "live", "the-live-one"])
def test_labels_that_say_production(label: str) -> None:
    assert is_production(label)


@pytest.mark.parametrize("label", [None, "", "dev", "reproduction", "delivery", "test"])
def test_labels_that_do_not(label: str | None) -> None:
    assert not is_production(label)


def plan(*locks: Lock, needs_confirmation: str = "") -> Plan:
    steps = tuple(replace(VACUUM, lock=lock, estimate=0.001) for lock in locks)
    operation = OperationPlan(operation=Operation.VACUUM, steps=steps, needs_confirmation=needs_confirmation)
    return Plan(target="sqlite:///sales.db", engine=EngineName.SQLITE, before={}, operations=(operation,))


@pytest.mark.parametrize("impact", LockImpact)
def test_what_blocks_writers_in_production_is_a_risk_and_nothing_less(impact: LockImpact) -> None:
    lets_write = impact in {LockImpact.NONE, LockImpact.MAINTENANCE}
    assert impact.blocks_writers is not lets_write
    for scope in LockScope:
        lock = Lock(impact, scope)
        assert bool(risks(plan(lock), "sales", "PROD")) is not lets_write
        assert bool(risks(plan(NO_LOCK, lock), "sales", "PROD")) is not lets_write
        assert risks(plan(lock), "sales", "dev") == risks(plan(lock), "sales", None) == []


def test_what_blocks_for_a_moment_only_is_no_risk() -> None:
    assert risks(plan(BRIEFLY), "sales", "PROD") == []
    assert risks(plan(Lock(LockImpact.NONE, momentary=LockImpact.EVERYONE)), "sales", "PROD") == []


def test_what_always_needs_a_yes_needs_it_everywhere() -> None:
    needed = plan(BRIEFLY, needs_confirmation="locks everybody out")
    assert risks(needed, "sales", None) == risks(needed, "sales", "PROD") == ["vacuum locks everybody out"]


def test_the_question_says_whom_each_operation_blocks() -> None:
    writers, everyone = Lock(LockImpact.WRITERS), Lock(LockImpact.EVERYONE)
    assert production_risk("sales", "PROD", {Operation.VACUUM: everyone, Operation.CHECK: NO_LOCK}) == (
        "sales is labelled PROD. While it runs, vacuum blocks everyone"
    )
    locks = {Operation.VACUUM: everyone, Operation.ANALYZE: writers, Operation.REINDEX: writers}
    assert production_risk("sales", "live", locks) == (
        "sales is labelled live. While they run, vacuum blocks everyone; analyze, reindex block writers"
    )


def test_of_several_locks_the_strongest_counts() -> None:
    assert strongest([]) == NO_LOCK
    assert [strongest([BRIEFLY, Lock(impact), NO_LOCK]).impact for impact in list(LockImpact)[1:]] == list(LockImpact)[
        1:
    ]


def test_a_lock_is_told_with_what_it_locks_and_its_moments() -> None:
    assert format_lock(NO_LOCK) == "blocks no one"
    assert format_lock(Lock(LockImpact.MOST_READERS, LockScope.TABLE)) == (
        "blocks writers of the table, and nearly all its readers"
    )
    assert format_lock(Lock(LockImpact.NONE, momentary=LockImpact.WRITERS)) == "blocks writers, for a moment at a time"
    assert format_lock(BRIEFLY) == (
        "blocks no reader and no writer; other maintenance of the table waits;"
        " may block everyone from the table for a moment"
    )
    assert len({format_lock(Lock(impact, scope)) for impact in LockImpact for scope in LockScope}) == (
        2 * len(LockImpact) - 1  # no one is no one
    )


def test_the_name_is_typed_and_of_several_the_label() -> None:
    assert word_to_type(["sales.db"], "PROD") == "sales.db"
    assert word_to_type(["a", "b"], "PROD") == "PROD"
    assert word_to_type(["a", "b"], None) == "2"


def test_a_reason_that_holds_for_an_operation_twice_is_given_once() -> None:
    twice = [(Operation.REBUILD, "blocks writers"), (Operation.REBUILD, "blocks writers")]
    assert confirmation_needed(twice) == ["rebuild blocks writers"]
