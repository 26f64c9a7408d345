"""Commands on servers that answer as no PostgreSQL does: a sentence, no traceback, and Ctrl-C ends them."""

from __future__ import annotations

import signal
import subprocess

import pytest

from tests.hostile_server import hostile_server
from tests.postgres_databases import Database
from tests.tui.command_line import CommandLine

AS_SOON_AS_IT_CAN = 60
"""Seconds after which a process is stuck."""


@pytest.mark.parametrize(
    "how", ["more columns", "no row", "endless rows", "a huge field", "other values", "version banana"]
)
def test_every_command_says_what_is_wrong_in_one_sentence(dbtend: CommandLine, database: Database, how: str) -> None:
    since = 0 if how.startswith("version") else 7
    with hostile_server(database, how, since) as url:
        for command in ("advise", "plan"):
            result = dbtend(command, url)
            assert (result.code, result.out) == (2, "")
            (line,) = result.err.splitlines()
            assert line.startswith("dbtend: postgresql://postgres@127.0.0.1:")
        result = dbtend("doctor", url)
        assert "Traceback" not in result.out + result.err


@pytest.mark.parametrize("command", ["advise", "plan", "run", "run --needed"])
@pytest.mark.parametrize("how", ["silence", "drip"])
def test_ctrl_c_ends_it(dbtend: CommandLine, database: Database, command: str, how: str) -> None:
    name, *options = command.split()
    with hostile_server(database, how, 7) as url:
        process = dbtend.start(name, url, *options)
        try:
            database.wait_for("SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name ~ '^dbtend'")
            for _ in range(2):  # the second one leaves at once
                process.send_signal(signal.SIGINT)
                try:
                    process.wait(5)
                except subprocess.TimeoutExpired:
                    continue
                break
            _, err = process.communicate(timeout=AS_SOON_AS_IT_CAN)
        finally:
            process.kill()
    assert "Traceback" not in err
    assert process.returncode != 0
