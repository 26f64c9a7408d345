"""Valid arguments, and the errors of invalid ones."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from engine import CheckLevel, JobId, OnFailure, Operation, Status, StoreLocation
from engine.domain.batches import BatchId
from engine.domain.errors import DbtendError, UsageError
from tui.commands.arguments import overview, parse, parser_of
from tui.commands.command_table import COMMANDS
from tui.commands.console import refuse_mistyped_command
from tui.presentation import typed_values


def test_options_stand_before_and_after_the_command_and_between_targets() -> None:
    args = parse(
        ["--store", "/s.db", "--json", "run", "a.db", "--op", "vacuum", "b.db", "--op=analyze", "--config", "/c.toml"]
    )
    assert (args.command, args.words) == ("run", ["a.db", "b.db"])
    assert args.operations == [Operation.VACUUM, Operation.ANALYZE]
    assert (args.store, args.config, args.json) == (StoreLocation(Path("/s.db")), Path("/c.toml"), True)


def test_without_a_command_words_are_targets() -> None:
    args = parse(["a.db", "sqlite:b.db", "--no-mouse"])
    assert (args.command, args.words, args.no_mouse) == (None, ["a.db", "sqlite:b.db"], True)
    assert parse([]).words == []


def test_what_follows_two_dashes_is_literal() -> None:
    assert parse(["run", "--", "--op", "x.db"]).words == ["--op", "x.db"]
    console = parse(["--", "run"])
    assert (console.command, console.words) == (None, ["run"])


def test_history_takes_all_filters() -> None:
    line = "--target t --status failed --op vacuum --since 7d --until 2026-11-24 --grep x --limit 9 --before 42"
    args = parse(["history", *line.split()])
    assert (args.target, args.status, args.operation) == ("t", Status.FAILED, Operation.VACUUM)
    assert (args.grep, args.limit, args.before) == ("x", 9, 42)
    assert args.since > 0 < args.until


def test_a_request_names_how_it_wants_to_be_carried_out() -> None:
    args = parse(["plan", "x", "--on-failure", "stop", "--lock-timeout", "0.5", "--workers", "4"])
    assert (args.on_failure, args.lock_timeout, args.workers) == (OnFailure.STOP, 0.5, 4)
    args = parse(["run", "x", "--time-limit", "1h30m", "--until", "6:00", "--stop-at-limit"])
    assert (args.time_limit, args.until, args.stop_at_limit) == (5400.0, "06:00", True)


def test_a_request_names_how_its_operations_do_their_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    line = "--force --verify --check quick --jobs 2 --object a --object b --analysis-limit 1000 --backup-to copies/x.db"
    for command in ("run", "plan"):
        args = parse([command, "x", *line.split()])
        assert (args.force, args.verify, args.check, args.jobs) == (True, True, CheckLevel.QUICK, 2)
        assert (args.objects, args.analysis_limit) == (["a", "b"], 1000)
        assert args.backup_to == str(tmp_path / "copies" / "x.db")  # a worker process runs elsewhere
    assert parse(["run", "x", "--no-verify", "--analysis-limit", "0"]).verify is False


def test_a_value_may_be_two_dashes() -> None:
    assert parse(["run", "x", "--object=--", "--", "--op"]).objects == ["--"]
    assert parse(["history", "--grep=--"]).grep == "--"


def test_a_plan_takes_whatever_a_run_takes_and_shows_what_matters_to_it() -> None:
    args = parse(["plan", "x", "--workers", "4", "--detach", "--grace", "1", "--time-limit", "2h"])
    assert args.words == ["x"]
    shown = parser_of("plan").format_help()
    assert "--time-limit" in shown
    assert not any(option in shown for option in ("--workers", "--detach", "--grace"))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("run x --opp vacuum", "--opp: is no option of dbtend run (did you mean --op?)"),
        ("run x --every", "--every: is no option of dbtend run (see dbtend run --help)"),
        ("--jsn history", "--jsn: is no option of dbtend history (did you mean --json?)"),
        ("run x --qqqqqq=1", "--qqqqqq: is no option of dbtend run (see dbtend run --help)"),
        ("--op vacuum x", "--op: is no option of dbtend (options of a command come after it"),
        ("run x --op vacum", "'vacum': is no operation (did you mean vacuum? known: vacuum, analyze,"),
        ("run x --op=", "'': is no operation (known: vacuum, analyze, reindex, optimize, check,"),
        ("run x --op", "--op: needs a value"),
        ("run x --json=1", "--json: takes no value"),
        ("run x --on-failure explode", "'explode': is no value of --on-failure (known: continue, stop)"),
        ("run x --lock-timeout soon", "'soon': is no number of seconds"),
        ("run x --lock-timeout -1", "'-1': is no number of seconds"),
        ("run x --lock-timeout nan", "'nan': is no number of seconds"),
        ("run x --workers 0", "'0': is no number of workers (give a whole number from 1 to 64)"),
        ("run x --jobs many", "'many': is no number of objects at once (give a whole number from 1 to 64)"),
        ("run x --analysis-limit -1", "'-1': is no number of rows (give a whole number from 0 to 1,000,000)"),
        ("run x --check ful", "'ful': is no level of a check (did you mean full? known: quick, full)"),
        ("run x --object=", "an empty value: says nothing"),
        ("run x --backup-to=", "an empty value: says nothing"),
        ("run x --force=1", "--force: takes no value"),
        ("retry 1 --truncate", "--truncate: is no option of dbtend retry"),
        ("run x --time-limit 30", "'30': is no time limit (give a duration such as 90s, 30m, 2h or 1h30m)"),
        ("run x --until 24:00", "'24:00': is no time of day (give HH:MM, such as 06:00)"),
        ("run x --grace forever", "'forever': is no number of seconds"),
        ("retry 1 --time-limit 2h", "--time-limit: is no option of dbtend retry"),
        ("history --status broken", "'broken': is no status"),
        ("history --since yesterday", "'yesterday': is no date"),
        ("history --limit 0", "'0': is no limit"),
        ("history --before 42.1", "42.1: names one operation of a job (give the job itself: 42)"),
        ("history --grep=", "an empty value: says nothing"),
        ("run x --store=", "an empty value: says nothing"),
    ],
)
def test_wrong_usage_says_what_to_type_instead(line: str, said: str) -> None:
    with pytest.raises(UsageError, match="^" + re.escape(said)):
        parse(line.split())


def test_help_shows_every_command_and_only_what_works() -> None:
    shown = overview() + "".join(parser_of(name).format_help() for name in (None, *COMMANDS))
    assert all(f"dbtend {name}" in shown for name in COMMANDS)
    assert max(map(len, overview().splitlines())) < 80


@pytest.mark.parametrize(("typed", "close"), [("hsitory", "dbtend history"), ("rnu", "dbtend run"), ("help", "--help")])
def test_a_mistyped_command_is_no_missing_file(typed: str, close: str) -> None:
    with pytest.raises(UsageError, match=close):
        refuse_mistyped_command([typed], [])


def test_a_word_that_can_be_a_target_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hsitory").touch()
    refuse_mistyped_command(["hsitory", "prod", "no/such.db", "missing.db", "sqlite:histroy"], ["prod"])
    with pytest.raises(UsageError, match="no command"):
        refuse_mistyped_command(["quux"], ["prod"])
    with pytest.raises(UsageError, match="mean prod"):
        refuse_mistyped_command(["prdo"], ["prod"])


NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def test_dates() -> None:
    assert typed_values.moment("7d", NOW) == NOW - timedelta(days=7)
    assert typed_values.moment("90m", NOW) == NOW - timedelta(minutes=90)
    assert typed_values.moment("2026-11-01T10:00:00Z", NOW) == datetime(2026, 11, 1, 10, tzinfo=UTC)
    assert typed_values.moment("2026-11-01", NOW) == datetime(2026, 11, 1).astimezone()
    assert typed_values.until("2026-11-01") + 1 == typed_values.since("2026-11-02")


@pytest.mark.parametrize("typed", ["", "d", "999999w", "2026-13-01", "0001-01-01", "９d"])
def test_what_is_no_date(typed: str) -> None:
    with pytest.raises(DbtendError, match="is no date"):
        typed_values.moment(typed, NOW)


def test_job_ids() -> None:
    assert typed_values.job_id("#42") == JobId(42)
    assert typed_values.job_id("42.2") == JobId(42, 2)
    assert typed_values.job_or_batch_id("42.2") == JobId(42, 2)
    assert typed_values.job_or_batch_id("b17") == typed_values.job_or_batch_id("B17") == BatchId(17)
    for wrong in ("b", "b1.2", "b-1", "b١", "b1 ", "bb1", "42.", "", "b" + "9" * 19):
        with pytest.raises(UsageError, match="no job id"):
            typed_values.job_or_batch_id(wrong)
    with pytest.raises(UsageError, match="no job id"):
        typed_values.job_id("42.x")


def test_help_names_the_servers_that_have_an_option() -> None:
    parts = re.split(r"^(\S.*):$", parser_of("run").format_help(), flags=re.MULTILINE)
    by_heading = dict(zip(parts[1::2], parts[2::2], strict=True))
    assert "--freeze" in by_heading["PostgreSQL"]
    assert "--no-binlog" in by_heading["MariaDB and MySQL"]
    assert "--offline" in by_heading["database servers"]
