"""What the command line and the config file make of a request."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine import CheckLevel, OnFailure, Operation, Options, Request, ServerOptions
from engine.config_text import parse_config
from engine.errors import UsageError
from engine.jobs import Speed
from tui.commands.arguments import parse
from tui.commands.settings import requests

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
    return requests(parse(line.split()), parse_config(config, "f"))


def test_the_command_line_beats_the_target_which_beats_the_defaults() -> None:
    (shop, other) = asked("run shop other.db")
    assert shop == Request(
        target="/srv/shop.db",
        operations=(Operation.ANALYZE, Operation.CHECK),
        options=Options(
            on_failure=OnFailure.STOP, verify=True, check=CheckLevel.QUICK, jobs=4, analysis_limit=1000
        ),
    )  # fmt: skip
    assert (other.options.jobs, other.options.verify) == (2, False)
    (shop,) = asked("run shop --jobs 8 --no-verify --check full --analysis-limit 0 --on-failure continue")
    assert shop.options == Options(check=CheckLevel.FULL, jobs=8)


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
    (request,) = asked(
        "plan x.db --op reindex --op backup --force --object a --object b --object a --backup-to copies", config=""
    )
    assert request.options == Options(force=True, objects=("a", "b"), backup_to=str(tmp_path / "copies"))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("run x.db --check full", "--check: means something only to check (add --op check, or leave it out)"),
        ("run x.db --op optimize --analysis-limit 9", "--analysis-limit: means something only to analyze"),
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
