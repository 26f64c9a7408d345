"""What each table needs, by the numbers alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import pytest

from engine.domain.advice import Advice, CompletedStep, Level, TargetHistory
from engine.domain.requests import Operation
from engine.domain.surveys import FleetLevel, SurveyCause
from engine.domain.thresholds import MB
from engine.fleet.levels import judge
from engine.targets.mysql.advising.advice import advise
from engine.targets.mysql.advising.findings import Cause, needs
from engine.targets.mysql.connection.server import Cluster, Flavor
from engine.targets.mysql.reading.condition import Condition, Histograms, Holder, Undo
from engine.targets.mysql.reading.samples import Column, Sample
from engine.targets.mysql.reading.tables import AutoIncrement, Index, Part, Table
from engine.targets.mysql.reading.undo import Truncation
from tests.engine.targets.mysql.flavors import SERVER

NOTHING: Final = TargetHistory(now=0)
KEY: Final = Index(name="PRIMARY", kind="BTREE", is_unique=True, may_be_null=False, columns=(("id", None),))
TABLE: Final = Table(
    database="shop", name="orders", engine="InnoDB", row_format="Dynamic", rows=100_000, data_bytes=100 * MB,
    indexes=(KEY,),
)  # fmt: skip
WIDE: Final = (Sample(Column("id", "int", 0, 1), 4, 0), Sample(Column("a", "varchar(200)", 0, 1), 100, 0))
"""So that 100,000 rows take about 13 MB."""


def condition(*tables: Table, **more: object) -> Condition:
    known = {table.name: WIDE for table in tables if table.engine == "InnoDB"}
    of_server = {name: more.pop(name) for name in ("flavor", "cluster", "user", "requires_primary_key") if name in more}
    server = replace(SERVER, **of_server)  # type: ignore[arg-type]
    base = Condition(tables=tables, server=server, samples=known, changes={})
    return replace(base, **more)  # type: ignore[arg-type]


def advice_on(found: Condition) -> dict[Operation, Advice]:
    return {one.operation: one for one in advise(found, needs(found, NOTHING), NOTHING)}


def test_free_space_is_given_back() -> None:
    need = needs(condition(TABLE), NOTHING).rebuild["orders"]
    assert (need.level, need.cause) == (Level.SOON, Cause.RECLAIMABLE)
    assert 80 * MB < need.gain < 90 * MB


def test_a_dense_table_needs_nothing() -> None:
    assert not needs(condition(replace(TABLE, data_bytes=15 * MB)), NOTHING).rebuild


def test_a_rebuild_that_the_server_would_refuse_for_want_of_a_primary_key_is_not_called_for() -> None:
    keyless = replace(TABLE, indexes=(replace(KEY, name="by_id"),))
    for requires in (False, True):
        found = condition(keyless, requires_primary_key=requires)
        need, rebuild = needs(found, NOTHING).rebuild["orders"], advice_on(found)[Operation.REBUILD]
        assert (bool(need.obstacle), rebuild.is_needed) == (requires, not requires)


@pytest.mark.parametrize(("rows_then", "is_advised"), [(1.0, False), (3.0, True)])
def test_a_table_that_a_rebuild_left_as_large_is_left_alone_until_rows_are_deleted(
    rows_then: float, is_advised: bool
) -> None:
    effect = {"size": 99 * MB, "rows": round(TABLE.rows * rows_then)}
    past = replace(NOTHING, rebuilt={"orders": CompletedStep(0, effect)})
    assert bool(needs(condition(TABLE), past).rebuild) == is_advised


@pytest.mark.parametrize("rows_then", [0, -1])
def test_a_rebuild_whose_rows_were_not_counted_yet_says_nothing_of_its_size(rows_then: int) -> None:
    past = replace(NOTHING, rebuilt={"orders": CompletedStep(0, {"size": 99 * MB, "rows": rows_then})})
    assert needs(condition(TABLE), past).rebuild


def test_partitions_are_judged_one_by_one() -> None:
    sparse = Part(name="p0", rows=1_000, data_bytes=60 * MB)
    dense = Part(name="p1", rows=99_000, data_bytes=14 * MB)
    need = needs(condition(replace(TABLE, partitions=(sparse, dense))), NOTHING).rebuild["orders"]
    assert "partition p0" in need.reason
    assert 55 * MB < need.gain < 61 * MB


def test_what_would_block_writers_or_a_cluster_is_not_done_unasked() -> None:
    words = condition(replace(TABLE, locks_for_rebuild="a FULLTEXT index"))
    for found in (words, condition(TABLE, cluster=Cluster.GALERA)):
        (rebuild,) = [
            one for one in advise(found, needs(found, NOTHING), NOTHING) if one.operation is Operation.REBUILD
        ]
        assert not rebuild.is_needed
        assert rebuild.obstacles


def test_changed_rows_need_analyze() -> None:
    found = condition(TABLE, changes={("orders", ""): 30_000})
    assert needs(found, NOTHING).analyze["orders"].cause is Cause.CHANGED_ROWS
    assert not needs(condition(TABLE, changes={("orders", ""): 20_000}), NOTHING).analyze


def test_statistics_that_are_missing() -> None:
    assert needs(condition(TABLE, counted={}), NOTHING).analyze["orders"].cause is Cause.NO_STATISTICS
    kept_in_memory = replace(TABLE, options="stats_persistent=0")
    assert not needs(condition(kept_in_memory, counted={}), NOTHING).analyze


def test_old_histograms_need_analyze() -> None:
    for found in (Histograms(rows=10_000), Histograms(age=8 * 86_400, changed_since=True)):
        need = needs(condition(TABLE, histograms={"orders": found}), NOTHING).analyze["orders"]
        assert need.cause is Cause.OLD_HISTOGRAMS
    for found in (Histograms(rows=90_000), Histograms(age=8 * 86_400), Histograms(age=60, changed_since=True)):
        assert not needs(condition(TABLE, histograms={"orders": found}), NOTHING).analyze


def test_auto_increment_near_its_end_is_critical_and_put_right_by_hand() -> None:
    found = condition(replace(TABLE, data_bytes=15 * MB, auto_increment=AutoIncrement("id", 2_100_000_000, 2**31 - 1)))
    advice = advise(found, needs(found, NOTHING), NOTHING)
    (rebuild,) = [one for one in advice if one.operation is Operation.REBUILD]
    assert (rebuild.level, rebuild.is_needed) == (Level.NONE, False)
    assert rebuild.by_hand is not None
    assert (rebuild.by_hand.level, rebuild.by_hand.urgency) == (Level.NOW, "critical")
    assert "id has used 97% of the values" in rebuild.by_hand.reason
    judged = judge(advice, NOTHING)
    assert (judged.level, judged.reasons[0].cause) == (FleetLevel.CRITICAL, SurveyCause.AUTO_INCREMENT)


def test_damaged_tables_need_nothing_but_a_repair() -> None:
    crashed = Table(database="shop", name="log", engine="", comment="Table 'log' is marked as crashed")
    found = condition(TABLE, crashed)
    past = replace(NOTHING, damaged_tables=("orders",), damage="a page is damaged")
    of = needs(found, past)
    assert (set(of.rebuild), set(of.analyze), set(of.repair)) == (set(), set(), {"log"})
    by_operation = {one.operation: one for one in advise(found, of, past)}
    assert by_operation[Operation.REPAIR].objects == ("log",)
    assert by_operation[Operation.CHECK].needs_manual_fix
    assert by_operation[Operation.OPTIMIZE].excluded_tables == ("orders",)


def test_a_long_history_list_names_who_holds_it() -> None:
    holder = Holder(connection=7, who="ann@web1", seconds=4_000)
    found = condition(undo=Undo(history=2_000_000, holder=holder, bytes=10**9, files=3))
    purge = advice_on(found)[Operation.PURGE_UNDO]
    assert purge.needs_manual_fix
    assert "connection 7 (ann@web1)" in purge.reason


@pytest.mark.parametrize("hidden", [None, 0])
def test_an_undo_log_that_may_not_be_seen_is_not_said_to_be_empty(hidden: int | None) -> None:
    for truncation, level in ((None, Level.UNKNOWN), (OFF, Level.UNKNOWN), (replace(OFF, is_on=1), Level.NONE)):
        found = condition(undo=Undo(history=1, bytes=hidden, truncation=truncation), user="ann@%")
        purge = advice_on(found)[Operation.PURGE_UNDO]
        assert purge.reason.startswith("1 transaction to purge; how large the undo log is, is not visible: as an admin")
        assert "GRANT PROCESS ON *.* TO 'ann'@'%'" in purge.reason
        assert ";;" not in purge.reason
        assert (purge.level, purge.inspection_can_tell) == (level, False)
        assert "undo_bytes" not in purge.facts


def test_an_undo_log_of_which_nothing_may_be_seen_is_unknown() -> None:
    assert advice_on(condition(undo=Undo()))[Operation.PURGE_UNDO].level is Level.UNKNOWN


def test_of_a_small_undo_log_it_is_said_what_to_set_too() -> None:
    undo = Undo(history=10, bytes=10**7, files=3, truncation=OFF)
    purge = advice_on(condition(undo=undo, flavor=Flavor.MARIADB))[Operation.PURGE_UNDO]
    assert (purge.level, purge.needs_manual_fix) == (Level.NONE, False)
    assert "SET GLOBAL innodb_undo_log_truncate = ON" in purge.reason


OFF = Truncation(is_on=0, tablespaces=3, threshold=10**7, version=(11, 8, 9))


@pytest.mark.parametrize(
    ("truncation", "level", "by_dbtend", "told"),
    [
        (None, Level.SOON, True, ""),
        (OFF, Level.SOON, False, "SET GLOBAL innodb_undo_log_truncate = ON"),
        (replace(OFF, tablespaces=0), Level.SOON, False, "innodb_undo_tablespaces = 3"),
        (replace(OFF, is_on=1, tablespaces=1), Level.SOON, False, "innodb_undo_tablespaces = 3"),
        (replace(OFF, tablespaces=0, version=(10, 11, 14)), Level.SOON, False, "Do not change innodb_undo_tablespaces"),
        (replace(OFF, is_on=1), Level.NONE, False, "MariaDB truncates it by itself"),
    ],
)
def test_a_large_undo_log_is_purged_or_it_is_said_what_to_set(
    truncation: Truncation | None, level: Level, told: str, *, by_dbtend: bool
) -> None:
    flavor = Flavor.MYSQL if truncation is None else Flavor.MARIADB
    undo = Undo(history=10, bytes=10**9, files=3, truncation=truncation)
    purge = advice_on(condition(undo=undo, flavor=flavor))[Operation.PURGE_UNDO]
    assert (purge.level, purge.is_needed) == (level, by_dbtend)
    assert told in purge.reason


def test_what_an_interrupted_purge_left_is_told() -> None:
    found = condition(undo=Undo(history=10, bytes=10**7, files=2, left=("innodb_undo_001",)), flavor=Flavor.MYSQL)
    purge = advice_on(found)[Operation.PURGE_UNDO]
    assert (purge.level, purge.is_needed) == (Level.SOON, True)
    assert "innodb_undo_001" in purge.reason


def test_what_cannot_be_seen_is_unknown_with_the_grant() -> None:
    found = condition(TABLE, changes=None, user="ann@%")
    analyze = advice_on(found)[Operation.ANALYZE]
    assert analyze.level is Level.UNKNOWN
    assert "GRANT PROCESS ON *.* TO 'ann'@'%'" in analyze.reason


def test_tables_that_are_not_sampled_are_unknown() -> None:
    found = condition(TABLE, samples={}, not_sampled=1)
    by_operation = advice_on(found)
    assert by_operation[Operation.REBUILD].level is Level.UNKNOWN
    assert by_operation[Operation.OPTIMIZE].level is Level.UNKNOWN


def test_old_engines_formats_and_missing_keys_are_named() -> None:
    notes = needs(
        condition(
            replace(TABLE, name="keyless", indexes=()),
            replace(TABLE, name="old", engine="MyISAM"),
            replace(TABLE, name="narrow", row_format="Redundant"),
        ),
        NOTHING,
    ).notes
    assert [note.rsplit(": ", 1)[1] for note in notes] == ["keyless", "old", "narrow"]
