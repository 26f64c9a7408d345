"""Options that a server does not support, or must not use; and maintenance by others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from engine.domain.requests import Operation, Options, ServerOptions, Speed
from engine.domain.steps import MAX_FINDINGS
from engine.targets.postgres.planning import operation_specs
from engine.targets.postgres.planning.check_steps import check_steps
from engine.targets.postgres.planning.operation_steps import (
    FEW,
    analyze_steps,
    reindex_steps,
    unsafe_rebuild,
    unsupported_option,
    vacuum_steps,
)
from engine.targets.postgres.planning.scope import analyzed_with_parent
from engine.targets.postgres.reading.relations import Index, Table

ITEM = Table(1, "public", "item", "r", 100, 5000.0, 40, 2, False, False, True, None)
PART = Table(2, "public", "part", "r", 900, 9000.0, 40, 2, False, False, True, None)
WHOLE = Table(3, "public", "whole", "p", 0, 0.0, 0, 0, False, True, True, None)
KEY = Index(4, "public", "item_pkey", 1, "public", "item", 30, 100, "btree", True, False, False, False, False, True)


@pytest.mark.parametrize(
    ("version", "offline", "refused"),
    [(140_003, False, True), (140_003, True, False), (140_004, False, False), (130_000, False, False)],
)
def test_trap_a_server_that_damages_indexes_is_not_asked_to_rebuild_them(
    version: int, offline: bool, refused: bool
) -> None:
    assert bool(unsafe_rebuild(ServerOptions(offline=offline), version)) is refused


def test_what_a_version_does_not_have_is_said() -> None:
    limited = ServerOptions(buffer_usage_limit=1024)
    assert unsupported_option(limited, 150_000) == "--buffer-usage-limit needs PostgreSQL 16 or newer, this one is 15"
    assert unsupported_option(limited, 160_000) == ""


def test_what_is_analyzed_with_the_table_it_is_part_of_is_known() -> None:
    partitions = {3: [2, 5], 5: [6]}
    deeper = replace(WHOLE, oid=5, name="deeper")
    deepest = replace(PART, oid=6, name="deepest")
    assert analyzed_with_parent([ITEM, PART, WHOLE, deeper, deepest], partitions) == {2: WHOLE, 5: WHOLE, 6: WHOLE}
    assert analyzed_with_parent([ITEM, PART], partitions) == {}
    assert analyzed_with_parent([deeper, deepest, PART], partitions) == {6: deeper}


@pytest.mark.parametrize(("version", "only"), [(150_000, ""), (180_000, "ONLY ")])
def test_a_partitioned_table_is_analyzed_alone_where_that_can_be(version: int, only: str) -> None:
    (step,) = analyze_steps([WHOLE], Options(), version, {})
    assert step.command == f'ANALYZE (VERBOSE) {only}"public"."whole"'


def test_where_there_are_many_tables_the_small_ones_tell_what_was_done_only_if_all_else_they_say_is_a_warning() -> None:
    small, dirty = replace(ITEM, oid=3, name="small", pages=5), replace(ITEM, oid=4, name="dirty", pages=5, dead_rows=1)
    few = vacuum_steps([small, dirty], Options(), 170_000, {})
    assert all(step.command.startswith("VACUUM (VERBOSE, ") and not step.verbose_command for step in few)
    many = [small, dirty, *[replace(small, oid=10 + number, name=f"small{number}") for number in range(FEW)]]
    for make, verbose, quiet in (
        (vacuum_steps, 'VACUUM (VERBOSE, SKIP_DATABASE_STATS) "', 'VACUUM (SKIP_DATABASE_STATS) "'),
        (analyze_steps, 'ANALYZE (VERBOSE) "', 'ANALYZE "'),
    ):
        steps = {step.object: step for step in make(many, Options(), 170_000, {})}
        assert steps["public.dirty"].command.startswith(verbose)
        assert steps["public.small"].command.startswith(quiet)
        assert steps["public.small"].verbose_command == verbose + 'public"."small"'
        politely = make(many, Options(server=ServerOptions(skip_locked=True)), 170_000, {})
        assert all("VERBOSE" in step.command for step in politely)


def test_the_longest_comes_first_and_each_table_is_its_own_conflict() -> None:
    steps = vacuum_steps([ITEM, PART, WHOLE], Options(), 170_000, {})
    assert [(step.object, step.conflict) for step in steps] == [("public.part",) * 2, ("public.item",) * 2]
    assert not any(step.settings for step in steps)
    gentle = vacuum_steps([ITEM], Options(server=ServerOptions(speed=Speed.GENTLE)), 170_000, {})
    assert dict(gentle[0].settings) == {"vacuum_cost_delay": "10ms", "vacuum_cost_limit": "200"}


def test_a_rebuild_needs_room_for_another_copy() -> None:
    (step,) = reindex_steps([KEY], {1: ITEM}, Options(), {})
    assert step.disk_needed == 30 * 8192
    assert "copy is dropped" in step.after_cancel


def test_a_vacuum_says_how_many_dead_rows_there_are_as_far_as_that_is_known() -> None:
    dirty = replace(ITEM, dead_rows=5000)
    tables = {
        dirty: "5,000 dead rows, 50% of all",
        replace(dirty, rows=-1): "5,000 dead rows",  # never vacuumed nor analyzed
        ITEM: "no dead rows; freezes old rows and updates the visibility map",
        replace(ITEM, is_counted=False): "removes dead rows; the server has not counted them",
    }
    for table, reason in tables.items():
        (step,) = vacuum_steps([table], Options(), 170_000, {})
        assert step.reason == reason
    (step,) = vacuum_steps([ITEM], Options(server=ServerOptions(process_main=False)), 170_000, {})
    assert step.reason == "only its TOAST table, as you asked"
    (step,) = vacuum_steps([dirty], Options(), 170_000, {dirty.oid: "by advice"})
    assert step.reason == "by advice"


def test_a_check_asks_for_no_more_findings_than_are_kept() -> None:
    (step,) = check_steps([], [ITEM], "public", full=True)
    assert step.command == (
        f'SELECT blkno, offnum, msg FROM "public".verify_heapam(\'"public"."item"\'::regclass) LIMIT {MAX_FINDINGS}'
    )


@pytest.mark.parametrize(
    ("operations", "said"),
    [
        ((Operation.VACUUM, Operation.ANALYZE, Operation.REINDEX), ()),
        ((Operation.VACUUM_FULL,), ()),
        (
            (Operation.CLUSTER, Operation.REINDEX),
            ("cluster also rebuilds the indexes of its tables; reindex would repeat that",),
        ),
        (
            (Operation.ANALYZE, Operation.VACUUM_FULL),
            ("vacuum-full also analyzes its tables; analyze would repeat that",),
        ),
    ],
)
def test_what_another_operation_does_anyway_is_remarked(operations: Sequence[Operation], said: Sequence[str]) -> None:
    assert operation_specs.remarks(operations) == said
