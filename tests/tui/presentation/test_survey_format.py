"""Surveys in words: phrases of reasons, counts, a table that lines up."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from engine.config.model import TargetEntry
from engine.domain.engines import EngineName
from engine.domain.surveys import FleetLevel, Survey, SurveyCause, SurveyReason
from engine.domain.thresholds import MOST_IDS
from tui.presentation.survey_format import (
    FleetRow,
    counts_line,
    fleet_json,
    phrase,
    sorted_rows,
    table,
    why,
    why_or_why_not,
)

NOW = 1_700_000_000_000_000
DAY = 86_400_000_000


@pytest.mark.parametrize(
    ("cause", "facts", "text"),
    [
        ("damage", {"job": 42}, "damage found"),
        ("cannot_be_read", {"error": "too damaged to read"}, "too damaged to read"),
        ("xid_age", {"age": 1_610_000_000, "most": MOST_IDS}, "xid age 1.61 G of 2.15 G"),
        ("xid_age", {"age": 190_000_000, "most": MOST_IDS}, "xid age 190 M of 2.15 G"),
        ("xid_age", {"age": 10**9, "most": MOST_IDS, "days_left": 2.4}, "xid age 1.00 G of 2.15 G, 2 days left"),
        ("xid_age", {"age": 10**9, "most": MOST_IDS, "days_left": 0.2}, "xid age 1.00 G of 2.15 G, 5 hours left"),
        ("old_neighbors", {"databases": ["shop", "template0"]}, "wraparound near in shop, template0 of its server"),
        ("auto_increment", {"auto_increment_percent": 97}, "auto-increment 97% used"),
        ("hot_journal", {}, "hot journal: a check rolls it back"),
        ("reclaimable", {"tables": 2, "wasted_bytes": 61_000_000_000}, "2 tables to rebuild, 61.0 GB back"),
        ("undo", {"history": 2_000_000, "undo_bytes": 900_000_000}, "2 M transactions to purge, undo log 900 MB"),
        ("multixact_age", {"age": 12_000, "most": MOST_IDS}, "multixact age 12 k of 2.15 G"),
        ("disk_full", {"free": 900_000_000, "size": 10**11}, "only 900 MB free on its disk of 100 GB"),
        ("reclaimable", {"free_bytes": 10**9, "reclaimable_bytes": 11 * 10**8}, "1.00 GB in free pages"),
        ("reclaimable", {"free_bytes": 10**8, "reclaimable_bytes": 11 * 10**8}, "1.10 GB reclaimable"),
        ("dead_rows", {"tables": 12}, "12 tables to vacuum"),
        ("indexes", {"indexes": 1, "wasted_bytes": 10**9}, "1 index to rebuild, 1.00 GB back"),
        ("indexes", {"indexes": 3, "wasted_bytes": 0}, "3 indexes to rebuild"),
        ("statistics", {}, "old or no statistics"),
        ("long_log", {"wal_size": 120_000_000}, "write-ahead log of 120 MB"),
        ("segments", {"segments": 12}, "full-text index in 12 segments"),
        ("leftovers", {"leftovers": 2}, "2 leftovers"),
        ("other", {"operation": "backup"}, "needs backup"),
        ("broken_rule", {"orphans": 3, "findings": 4}, "3 orphans"),
        ("broken_rule", {"orphans": 0, "findings": 1}, "1 broken rule"),
        ("needless_indexes", {"needless_indexes": 1, "needless_bytes": 10**9}, "1 index may be needless, 1.00 GB"),
        ("check_overdue", {}, "check overdue"),
        ("accepted_damage", {"objects": ["t"], "by": "ann@host"}, "damage accepted by ann@host"),
        ("never_checked", {}, "never checked"),
        ("not_measured", {"operations": ["vacuum", "analyze\x1b[31m"]}, "not measured: vacuum, analyze\\x1b[31m"),
        ("no_answer", {"seconds": 5.0}, "no answer in 5 s"),
        ("locked", {"error": "no lock within 1 s: \x1b[2J"}, "no lock within 1 s: \\x1b[2J"),
        ("unavailable", {"error": "there is no such file"}, "there is no such file"),
        ("refused", {}, ""),
    ],
)
def test_each_reason_is_a_phrase(cause: str, facts: dict[str, Any], text: str) -> None:
    assert phrase(SurveyReason(FleetLevel.NOW, SurveyCause(cause), facts)) == text


@pytest.mark.parametrize("cause", SurveyCause)
def test_no_reason_is_without_words(cause: SurveyCause) -> None:
    assert isinstance(phrase(SurveyReason(FleetLevel.SOON, cause, {"error": "x"})), str)


def test_the_counts() -> None:
    many = {"critical": 2, "now": 14, "soon": 40, "ok": 251, "unreachable": 5}
    levels = [FleetLevel(level) for level, count in many.items() for _ in range(count)]
    assert counts_line(levels) == "312 targets: 2 critical, 14 now, 40 soon, 251 ok, 5 unreachable"
    assert counts_line([FleetLevel.OK]) == "1 target: 1 ok"
    assert counts_line([]) == "no target"


def row(name: str, level: str, **more: Any) -> FleetRow:
    label = more.pop("label", None)
    survey = Survey(
        target=f"sqlite:///srv/{name}.db",
        engine=more.pop("engine", EngineName.SQLITE),
        surveyed_at=NOW,
        level=FleetLevel(level),
        **more,
    )
    return FleetRow(TargetEntry(name=name, url=f"/srv/{name}.db", label=label), survey)


XIDS = SurveyReason(FleetLevel.CRITICAL, SurveyCause.XID_AGE, {"age": 1_610_000_000, "most": MOST_IDS})
FREE = SurveyReason(FleetLevel.NOW, SurveyCause.RECLAIMABLE, {"free_bytes": 10**9, "reclaimable_bytes": 10**9})
ROWS = sorted_rows(
    [
        row("t10", "ok", size=5_000_000, reasons=(SurveyReason(FleetLevel.OK, SurveyCause.NEVER_CHECKED),)),
        row("t2", "ok", size=5_000_000, checked_at=NOW),
        row(
            "shop", "critical", engine=EngineName.POSTGRESQL, version="17.2", size=412 * 10**9, reclaimable=61 * 10**9,
            checked_at=NOW - 2 * DAY, label="PROD", reasons=(XIDS,),
        ),
        row("tenant-137", "now", size=21 * 10**8, reclaimable=10**9, checked_at=NOW - 41 * DAY, reasons=(FREE,)),
    ]
)  # fmt: skip


def test_a_table_lines_up() -> None:
    assert table(ROWS, NOW, None) == [
        "target       engine     size  reclaim  level     checked  last run  why",
        "shop [PROD]  pg 17    412 GB  61.0 GB  critical      2 d  -         xid age 1.61 G of 2.15 G",
        "tenant-137   sqlite  2.10 GB  1.00 GB  now          41 d  -         1.00 GB in free pages",
        "t2           sqlite  5.00 MB        -  ok          today  -",
        "t10          sqlite  5.00 MB        -  ok          never  -",
    ]


def test_a_narrow_table_keeps_what_matters() -> None:
    assert table(ROWS, NOW, 60) == [
        "target          size  level     why",
        "shop [PROD]   412 GB  critical  xid age 1.61 G of 2.15 G",
        "tenant-137   2.10 GB  now       1.00 GB in free pages",
        "t2           5.00 MB  ok",
        "t10          5.00 MB  ok",
    ]
    for width in range(20, 130):
        assert max(map(len, table(ROWS, NOW, width))) <= max(width, 40)


def test_a_target_that_needs_nothing_has_no_reason() -> None:
    assert [why(one.survey) for one in ROWS][2:] == ["", ""]
    assert [one["reason"] for one in fleet_json(ROWS)["targets"]][1:3] == ["1.00 GB in free pages", None]


def test_the_figures_of_a_target_that_gave_no_answer_have_their_time() -> None:
    silent = SurveyReason(FleetLevel.UNREACHABLE, SurveyCause.NO_ANSWER, {"seconds": 5.0})
    old = row("t2", "unreachable", size=5_000_000, checked_at=NOW, reasons=(silent,), figures_at=NOW - DAY)
    assert table([old], NOW, None)[1] == (
        "t2      sqlite  5.00 MB        -  unreachable    today  -         no answer in 5 s; figures of 11-13 22:13"
    )
    assert fleet_json([old])["targets"][0]["figures_at"] == "2023-11-13T22:13:20.000000Z"


def test_a_file_that_is_ok_although_much_of_it_is_free_says_why() -> None:
    tenant = TargetEntry(name="t1", url="/srv/t1.db")
    survey = Survey(
        target="sqlite:///srv/t1.db",
        engine=EngineName.SQLITE,
        surveyed_at=NOW,
        level=FleetLevel.OK,
        size=2_000_000,
        reclaimable=1_480_000,
    )
    assert why_or_why_not(tenant, survey) == "74% reclaimable, below 16.0 MB"
    assert why_or_why_not(tenant, survey, 22) == "74%, below 16.0 MB"
    stricter = replace(tenant, advice={"reclaim_soon": 20 * 10**6})
    assert why_or_why_not(stricter, survey) == "74% reclaimable, below 20.0 MB"
    assert "74% reclaimable, below 16.0 MB" in "".join(table([FleetRow(tenant, survey)], NOW, None))
    assert why(survey) == ""  # no reason of its level
    for other in (
        replace(survey, reclaimable=100_000),
        replace(survey, size=None),
        replace(survey, engine=EngineName.POSTGRESQL),
    ):
        assert why_or_why_not(tenant, other) == ""
    soon = SurveyReason(FleetLevel.SOON, SurveyCause.STATISTICS)
    urgent = replace(survey, level=FleetLevel.SOON, reasons=(soon,))
    assert why_or_why_not(tenant, urgent) == why(urgent) == "old or no statistics"
