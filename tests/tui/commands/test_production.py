"""The command line blocks the writers of production only after a confirmation."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from benchmarks.terminal import Terminal
from engine import Engine, Operation, Request, StoreLocation
from engine.domain.errors import UsageError
from tests.sqlite_files import make_database, transaction
from tests.tui.command_line import CommandLine
from tui.commands.confirmation import confirmed
from tui.commands.settings import Settings

journal_modes = pytest.mark.parametrize(("journal_mode", "blocked"), [("wal", "writers"), ("delete", "everyone")])


def label(dbtend: CommandLine, path: Path, label: str = "PROD") -> str:
    dbtend.configure(f'[targets.shop]\nurl = "{path}"\nlabel = "{label}"\n')
    return "shop"


@journal_modes
@pytest.mark.parametrize("more", [(), ("--detach",), ("--json",)], ids=["foreground", "detached", "json"])
def test_without_a_terminal_production_is_run_with_yes_only(
    dbtend: CommandLine, tmp_path: Path, journal_mode: str, blocked: str, more: tuple[str, ...]
) -> None:
    shop = label(dbtend, make_database(tmp_path / "sales.db", journal_mode=journal_mode))
    result = dbtend("run", shop, "--op", "vacuum", *more)
    assert result.code == 2
    assert result.err.startswith("dbtend: shop: needs confirmation: ")
    assert f"PROD. While it runs, vacuum blocks {blocked}. No check" in result.err
    assert "--yes" in result.err
    assert not dbtend.store.exists()
    if "--detach" not in more:
        assert dbtend("run", shop, "--op", "vacuum", "--yes", *more).code == 0


def test_the_store_is_opened_once_for_all_targets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(StoreLocation(tmp_path / "jobs.db"), tmp_path / "config.toml", config_required=False)
    opened = []

    def once(here: Settings) -> AbstractAsyncContextManager[Engine]:
        opened.append(here)
        return reading_engine(here)

    reading_engine = Settings.reading_engine
    monkeypatch.setattr(Settings, "reading_engine", once)
    urls = [f"postgresql://me@127.0.0.1:1/db{number}" for number in range(9)]
    with pytest.raises(UsageError, match="and 8 other targets: needs confirmation"):
        confirmed([Request(target=url, operations=(Operation.VACUUM_FULL,)) for url in urls], settings)
    assert opened == [settings]
    assert confirmed([Request(target=url, operations=(Operation.VACUUM,)) for url in urls], settings).requests
    assert opened == [settings]


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-"])
def test_without_standard_streams_it_is_refused_as_well(dbtend: CommandLine, tmp_path: Path, closed: str) -> None:
    shop = label(dbtend, make_database(tmp_path / "sales.db", journal_mode="wal"))
    command = f"{sys.executable} -m tui.cli run {shop} --op vacuum {closed}"
    environment = {**os.environ, **dbtend.environment}
    done = subprocess.run(["sh", "-c", command], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "2>&-" in closed or "needs confirmation" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("by", ["name", "path", "link"])
def test_by_whatever_name_production_is_asked_for(dbtend: CommandLine, tmp_path: Path, by: str) -> None:
    path = make_database(tmp_path / "sales.db", journal_mode="wal")
    shop = label(dbtend, path)
    link = tmp_path / "link.db"
    link.symlink_to(path)
    word = {"name": shop, "path": str(path), "link": str(link)}[by]
    assert "needs confirmation" in dbtend("run", word, "--op", "reindex").err


def test_a_retry_of_production_asks_once_more(dbtend: CommandLine, tmp_path: Path) -> None:
    shop = label(dbtend, make_database(tmp_path / "sales.db", journal_mode="wal"))
    assert dbtend("run", shop, "--op", "analyze", "--yes").code == 0
    refused = dbtend("retry", "1")
    assert (refused.code, "needs confirmation: shop" in refused.err) == (2, True)
    assert dbtend("retry", "1", "--yes").code == 0


@pytest.mark.parametrize("operation", ["check", "backup"])
def test_what_lets_writers_write_needs_no_yes(dbtend: CommandLine, tmp_path: Path, operation: str) -> None:
    shop = label(dbtend, make_database(tmp_path / "sales.db", journal_mode="wal"))
    assert dbtend("run", shop, "--op", operation).code == 0


def test_no_other_label_needs_a_yes(dbtend: CommandLine, tmp_path: Path) -> None:
    shop = label(dbtend, make_database(tmp_path / "sales.db"), "staging")
    assert dbtend("run", shop, "--op", "vacuum").code == 0


def test_a_plan_says_that_run_asks(dbtend: CommandLine, tmp_path: Path) -> None:
    shop = label(dbtend, make_database(tmp_path / "sales.db", journal_mode="wal"))
    planned = dbtend("plan", shop, "--op", "vacuum").out
    assert "yes: shop is " in planned
    assert "vacuum blocks writers" in planned
    assert "yes: " not in dbtend("plan", shop, "--op", "check").out
    (job,) = dbtend("plan", shop, "--op", "vacuum", "--json").json["jobs"]
    step = job["children"][0]["steps"][0]
    assert (step["lock"], step["lock_impact"], step["lock_momentary"]) == ("blocks writers", "writers", "none")


@pytest.mark.parametrize(("typed", "said"), [("shop", "#1 shop [PROD] completed in "), ("sales", "was not typed")])
def test_at_a_terminal_the_name_is_typed(dbtend: CommandLine, tmp_path: Path, typed: str, said: str) -> None:
    shop = label(dbtend, make_database(tmp_path / "sales.db", journal_mode="wal"))
    command = [sys.executable, "-m", "tui.cli", "run", shop, "--op", "vacuum"]
    with Terminal(command, environment=dbtend.environment) as terminal:
        terminal.read_until("Type shop to go on: ")
        terminal.send(f"{typed}\n".encode())
        terminal.read_until(said)


def test_a_server_that_does_not_answer_is_asked_about_as_one_that_is_locked(dbtend: CommandLine) -> None:
    dbtend.configure('[targets.shop]\nurl = "postgresql://127.0.0.1:1/none"\nlabel = "PROD"\n')
    refused = dbtend("run", "shop", "--op", "analyze")
    why = "needs confirmation: shop is labelled PROD. It does not answer, so it is unknown what this blocks"
    assert (refused.code, why in refused.err) == (2, True)
    assert "no server answers" in dbtend("run", "shop", "--op", "analyze", "--yes").err


def test_a_database_that_is_locked_is_asked_about(dbtend: CommandLine, tmp_path: Path) -> None:
    path = make_database(tmp_path / "sales.db")
    shop = label(dbtend, path)
    with transaction(path, "EXCLUSIVE"):
        refused = dbtend("run", shop, "--op", "analyze", "--lock-timeout", "0.2")
    assert "needs confirmation: shop" in refused.err
    assert "It is locked" in refused.err


def test_the_question_says_where_no_check_is_on_record(dbtend: CommandLine, tmp_path: Path) -> None:
    shop = label(dbtend, make_database(tmp_path / "sales.db", journal_mode="wal"))
    assert "No check of this database is on record" in dbtend("run", shop, "--op", "vacuum").err
    assert dbtend("run", shop, "--op", "check").code == 0
    assert "on record" not in dbtend("run", shop, "--op", "vacuum").err
