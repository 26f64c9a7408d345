"""What the command line and the config file make of a request."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine import CheckLevel, OnFailure, Operation, Options, Request, ServerOptions
from engine.config.parser import parse_config
from engine.domain.errors import UsageError
from engine.domain.requests import Speed
from tui.commands.arguments import parse
from tui.commands.settings import requests
from tui.commands.targets import target_entries

CONFIG = """
[targets.shop]
url = "/srv/shop.db"
operations = ["analyze", "check"]
jobs = 4
verify = true

[defaults]
on_failure = "stop"
jobs = 2
check = "quick"
analysis_limit = 1000
"""


def asked(line: str, config: str = CONFIG) -> list[Request]:
    args = parse(line.split())
    return requests(args, target_entries(args.words, parse_config(config, "f")))


def test_the_command_line_beats_the_target_which_beats_the_defaults() -> None:
    (shop, other) = asked("run shop other.db")
    assert shop == Request(
        target="/srv/shop.db",
        operations=(Operation.ANALYZE, Operation.CHECK),
        options=Options(
            on_failure=OnFailure.STOP, verify=True, check=CheckLevel.QUICK, jobs=4, analysis_limit=1000
        ),
    )  # fmt: skip
    assert (other.options.jobs, other.options.verify) == (None, False)  # nothing of it runs at once
    (other,) = asked("run other.db --op check")
    assert other.options.jobs == 2
    (shop,) = asked("run shop --jobs 8 --no-verify --check full --analysis-limit 0 --on-failure continue")
    assert shop.options == Options(check=CheckLevel.FULL, jobs=8)


def test_a_flag_of_the_config_file_can_be_taken_back() -> None:
    config = '[targets.shop]\nurl = "/srv/shop.db"\nswap = true\n'
    assert [asked(f"run shop --op vacuum{option}", config)[0].options.swap for option in ("", " --no-swap")] == [
        True,
        False,
    ]


SERVER = """
[targets.shop]
url = "postgresql://dba@db1/shop"
speed = "gentle"
max_lag = "64MB"
lock_timeout = 2
"""


def test_the_command_line_beats_what_is_said_of_a_server() -> None:
    (request,) = asked("run shop --op vacuum", config=SERVER)
    assert request.options.server == ServerOptions(speed=Speed.GENTLE, max_lag=64 * 1024 * 1024)
    (request,) = asked("run shop --op vacuum --speed full --schema a --on-step-failure stop", config=SERVER)
    server = ServerOptions(max_lag=64 * 1024 * 1024, schemas=("a",))
    assert request.options == Options(on_step_failure=OnFailure.STOP, lock_timeout=2, server=server)


def test_everything_can_be_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (request,) = asked("plan x.db --op reindex --op backup --force --object a --object b --backup-to copies", config="")
    assert request.options == Options(force=True, objects=("a", "b"), backup_to=str(tmp_path / "copies"))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("run x.db --op vacuum --check full", "--check: does not apply to vacuum, only to check (add --op check,"),
        (
            "run x.db --op optimize --analysis-limit 0",
            "--analysis-limit: does not apply to optimize, only to analyze",
        ),
        ("run x.db --op vacuum --jobs 2", "--jobs: does not apply to vacuum, only to check"),
        ("run x.db --schema a", "--schema: a SQLite file is no database server (leave it out)"),
        ("run x.db --op vacuum --no-truncate", "--no-truncate: a SQLite file is no database server"),
        ("run service=x --op vacuum --no-swap", "--no-swap: PostgreSQL has nothing like it"),
        ("run service=x --op analyze --freeze", "--freeze: does not apply to analyze, only to vacuum, optimize"),
        ("run service=x --op analyze --no-truncate", "--no-truncate: does not apply to analyze"),
        ("run service=x --op analyze --index-cleanup auto", "--index-cleanup: does not apply to analyze"),
        ("run service=x --op analyze --parallel-workers 0", "--parallel-workers: does not apply to analyze"),
        ("run service=x --op vacuum --missing-only", "--missing-only: does not apply to vacuum, only to analyze"),
        ("run service=x --op vacuum --in-stages", "--in-stages: does not apply to vacuum"),
        ("run service=x --op vacuum --offline", "--offline: does not apply to vacuum, only to reindex, optimize"),
        ("run service=x --op vacuum-full --speed full", "--speed: does not apply to vacuum-full"),
        ("run service=x --op vacuum --check quick", "--check: does not apply to vacuum, only to check"),
        ("run service=x --op vacuum --backup-to /b", "--backup-to: PostgreSQL has nothing like it"),
        ("run service=x --analysis-limit 9", "--analysis-limit: PostgreSQL has nothing like it"),
        ("run x.db y.db --op backup --backup-to /no/such", "--backup-to: /no/such cannot hold several backups"),
    ],
)
def test_an_option_that_would_be_ignored_is_refused(line: str, said: str) -> None:
    with pytest.raises(UsageError) as problem:
        asked(line, config="")
    assert str(problem.value).startswith(said)


def test_checks_around_other_operations_have_a_level() -> None:
    (request,) = asked("run x.db --op vacuum --verify --check full", config="")
    assert request.children == (Operation.CHECK, Operation.VACUUM, Operation.CHECK)
    assert request.options.check_level is CheckLevel.FULL


def test_several_databases_can_be_copied_into_one_directory(tmp_path: Path) -> None:
    both = asked(f"run x.db y.db --op backup --backup-to {tmp_path}", config="")
    assert {request.options.backup_to for request in both} == {str(tmp_path)}


def test_what_is_usual_for_a_target_is_no_error_where_it_means_nothing() -> None:
    (request,) = asked("run shop --op reindex", config=SERVER)
    assert request.options.server == ServerOptions(max_lag=64 * 1024 * 1024)
    (request,) = asked("run shop --op backup", config=CONFIG)
    assert (request.options.jobs, request.options.analysis_limit) == (4, None)  # the checks around it may be many


def test_checks_around_an_operation_take_what_is_for_checks() -> None:
    (request,) = asked("run service=x --op vacuum --verify --check full", config="")
    assert request.options.check is CheckLevel.FULL
