"""The history as a table for spreadsheets."""

from __future__ import annotations

import csv
from dataclasses import replace
from io import StringIO

import pytest

from engine import ParentJob, Reason, Status
from tests.tui.jobs import child, parent, vacuumed
from tui.presentation.history_csv import COLUMNS, head, lines
from tui.presentation.text import target_name


def rows(*jobs: ParentJob) -> list[dict[str, str]]:
    return list(csv.DictReader(StringIO(head() + lines(jobs, target_name))))


def test_there_is_a_line_for_each_operation() -> None:
    failed = parent(child(), child(2, Status.FAILED, Reason.OPERATION_ERROR, error='disk "sdb" failed,\nsadly'))
    first, second, third = rows(replace(failed, batch=7, schedule="nightly"), vacuumed())
    assert (first["job"], first["batch"], first["schedule"], first["name"]) == ("42.1", "b7", "nightly", "sales.db")
    assert (first["status"], first["duration"], first["started_at"]) == (
        "completed",
        "1.5",
        "2023-11-14T22:13:20.000000Z",
    )
    assert (second["status"], second["reason"]) == ("failed", "operation_error")
    assert second["error"] == 'disk "sdb" failed,\\nsadly'
    assert (third["size_before"], third["size_after"], third["batch"]) == ("24100000", "14300000", "")


def test_without_jobs_there_is_a_heading() -> None:
    assert head() == ",".join(COLUMNS) + "\r\n"


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", '=HYPERLINK("http://x")', "\r=1"])
def test_no_cell_is_a_formula(text: str) -> None:
    (row,) = rows(parent(child(1, Status.FAILED, error=text)))
    assert not row["error"].startswith(("=", "+", "-", "@", "\t", "\r"))
    assert row["error"].endswith(text[-3:].strip())


@pytest.mark.parametrize("text", ["\x1b[2J", "\udcff", "\u202e", "\x00"])
def test_no_cell_obeys(text: str) -> None:
    (row,) = rows(parent(child(1, Status.FAILED, error=text)))
    assert row["error"].isprintable()
