"""A message that was given up is seen: in the list of recipients, by the doctor, and in the metrics."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.receivers import WebServer, web_server
from tests.sqlite_files import make_database
from tests.tui.command_line import CommandLine
from tui.presentation.exit_codes import FAILED, OK

DAY = 86_400_000_000


@pytest.fixture
def web() -> Iterator[WebServer]:
    with web_server() as server:
        yield server


@pytest.fixture
def given_up(dbtend: CommandLine, web: WebServer, tmp_path: Path) -> WebServer:
    """A recipient with a message that was given up."""
    dbtend.configure(f'[notify.ops]\nwebhook = "{web.url}"\nfrom_runs = true\n')
    web.answers = [503]
    assert dbtend("run", tmp_path / "missing.db", tmp_path / "gone.db", "--op", "analyze").code == FAILED
    age(dbtend.store, "created_at = created_at - 4 * :day, next_try_at = 0")
    dbtend("run", make_database(tmp_path / "sales.db", rows=5), "--op", "analyze")
    return web


def age(store: Path, change: str) -> None:
    with closing(sqlite3.connect(store)) as file, file:
        file.execute(f"UPDATE message SET {change}", {"day": DAY})


def test_the_list_shows_it(dbtend: CommandLine, given_up: WebServer) -> None:
    listed = dbtend("notify")
    assert listed.out.splitlines()[1].split()[:5] == ["ops", "webhook", "never", "0", "1"]
    assert listed.code == FAILED
    (recipient,) = dbtend("notify", "--json").json["recipients"]
    assert (recipient["waiting"], recipient["given_up"]) == (0, 1)
    assert recipient["given_up_at"] is not None
    assert "given up" in dbtend("notify", "ops").out


def test_the_doctor_names_it_for_a_week_although_others_were_delivered_since(
    dbtend: CommandLine, given_up: WebServer, tmp_path: Path
) -> None:
    assert "503" in line_of(dbtend, "problem", "notify ops")
    given_up.answers = [200]
    dbtend("run", tmp_path / "missing.db", tmp_path / "gone.db", "--op", "analyze")
    assert dbtend("notify").code == OK
    line = line_of(dbtend, "warn", "notify ops")
    assert re.search(r"1 message given up, the last one [-0-9]+ [:0-9]+ [A-Z+-]", line)  # a time with its zone
    age(dbtend.store, "ended_at = ended_at - 8 * :day WHERE status = 'given_up'")
    assert "given up" not in dbtend("doctor").out


def line_of(dbtend: CommandLine, level: str, what: str) -> str:
    found = [one for one in dbtend("doctor", "--json").json["checks"] if (one["level"], one["what"]) == (level, what)]
    assert len(found) == 1, found
    text: str = found[0]["found"]
    return text


def test_the_metrics_have_it(dbtend: CommandLine, given_up: WebServer, tmp_path: Path) -> None:
    text = dbtend("metrics").out
    assert 'dbtend_messages_given_up{recipient="ops"} 1.0' in text
    assert 'dbtend_messages_waiting{recipient="ops"} 0.0' in text
    assert 'dbtend_message_last_given_up_timestamp_seconds{recipient="ops"}' in text
    assert 'dbtend_message_last_sent_timestamp_seconds{recipient="ops"}' not in text
    given_up.answers = [200]
    dbtend("run", tmp_path / "missing.db", tmp_path / "gone.db", "--op", "analyze")
    assert 'dbtend_message_last_sent_timestamp_seconds{recipient="ops"}' in dbtend("metrics").out
