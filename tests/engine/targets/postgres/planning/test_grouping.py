"""Which tables share a command: pure."""

from __future__ import annotations

from dataclasses import replace

from engine.domain.requests import Options, ServerOptions, Speed
from engine.targets.postgres.planning.grouping import MOST, grouped
from engine.targets.postgres.planning.operation_steps import (
    FEW,
    analyze_steps,
    database_statistics,
    reindex_steps,
    vacuum_steps,
)
from engine.targets.postgres.reading.ages import Old
from engine.targets.postgres.reading.relations import Table

TINY = Table(1, "public", "tiny", "r", 5, 500.0, 4, 2, False, False, True, None)
MANY = [replace(TINY, oid=number, name=f"tiny{number}") for number in range(1, FEW + 21)]
VERSION = 170_000


def test_each_table_is_in_one_step_and_its_own_command_stays_known() -> None:
    alone = vacuum_steps(MANY, Options(), VERSION, {})
    steps = grouped(alone)
    assert [len(step.objects) for step in steps] == [MOST, MOST, 20]
    assert [one for step in steps for one in step.members] == alone
    first = steps[0]
    assert first.command == (
        'VACUUM (SKIP_LOCKED, SKIP_DATABASE_STATS) "public"."tiny1", "public"."tiny2", "public"."tiny3" -- and 47 more'
    )
    assert first.first_command.count('"public"."tiny') == MOST
    assert first.first_command.startswith(first.command.partition(" -- ")[0])


def test_what_is_dirty_large_part_of_others_or_named_with_columns_stays_alone_at_its_place() -> None:
    others = [
        replace(TINY, oid=1001, name="dirty", dead_rows=1),
        replace(TINY, oid=1002, name="large", pages=1000),
        replace(TINY, oid=1003, name="parent", has_children=True),
        replace(TINY, oid=1004, name="unknown", is_counted=False),
    ]
    steps = grouped(vacuum_steps([*others, *MANY], Options(), VERSION, {}))
    assert steps[0].object == "public.large"
    assert {step.object for step in steps if not step.objects} == {table.shown for table in others}
    columns = {1: ["a"]}
    (named,) = [s for s in grouped(analyze_steps(MANY, Options(), VERSION, {}, columns)) if not s.objects]
    assert named.object == "public.tiny1"


def test_few_tables_stay_alone_and_so_do_rebuilds_and_stages() -> None:
    few = vacuum_steps(MANY[:FEW], Options(), VERSION, {})
    assert grouped(few) == few
    staged = analyze_steps(MANY, Options(server=ServerOptions(in_stages=True)), VERSION, {})
    assert grouped(staged) == staged
    politely = vacuum_steps(MANY, Options(server=ServerOptions(skip_locked=True)), VERSION, {})
    assert grouped(politely) == politely
    assert grouped(reindex_steps([], {}, Options(), {})) == []


def test_those_with_other_settings_do_not_share_and_what_completes_them_stays_last() -> None:
    old = {table.oid: Old((("vacuum_freeze_table_age", "0"),), "old") for table in MANY[:30]}
    alone = vacuum_steps(MANY, Options(server=ServerOptions(speed=Speed.GENTLE)), VERSION, {}, old)
    steps = grouped([*alone, *database_statistics(VERSION)])
    assert steps[-1].mandatory_follow_up
    assert [(len(step.objects), dict(step.settings).get("vacuum_freeze_table_age")) for step in steps[:-1]] == [
        (30, "0"),
        (MOST, None),
        (40, None),
    ]
    assert steps[0].command.startswith("SET vacuum_cost_delay = '10ms'; ")
    assert steps[0].first_command.startswith("VACUUM (SKIP_LOCKED")


def test_groups_of_larger_tables_have_fewer() -> None:
    larger = [replace(table, pages=99, rows=20_000.0) for table in MANY]
    steps = grouped(vacuum_steps(larger, Options(server=ServerOptions(analyze=True)), VERSION, {}))
    assert len(steps) > len(MANY) / MOST + 1
    assert {name for step in steps for name in step.objects or (step.object,)} == {table.shown for table in MANY}
