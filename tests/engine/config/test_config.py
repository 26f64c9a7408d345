"""The config file, and the errors of a wrong one."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from pathlib import Path

import pytest

from engine.config.keys import (
    ADVICE_KEYS,
    ALLOW_KEYS,
    CONSOLE_KEYS,
    DEFAULTS_KEYS,
    RETENTION_KEYS,
    STORE_KEYS,
    TARGET_KEYS,
)
from engine.config.model import Config, ConsoleConfig, Defaults, StoreConfig, TargetEntry, WorkerConfig
from engine.config.parser import parse_config
from engine.config.reader import load_config
from engine.domain.errors import ConfigError
from engine.domain.option_spec import Lent
from engine.domain.requests import CheckLevel, OnFailure, Operation, Options, ServerOptions, Speed
from engine.domain.retention import Retention
from engine.domain.thresholds import DAY, Thresholds

EVERYTHING = """
[targets.sales]
url = "/srv/sales.db"
label = "PROD"
operations = ["vacuum", "analyze"]
on_failure = "stop"
lock_timeout = 30
verify = false
check = "full"
jobs = 4
analysis_limit = 0

[targets.app]
url = "sqlite:///srv/app.db"

[defaults]
on_failure = "stop"
lock_timeout = 2.5
verify = true
check = "quick"
jobs = 2
analysis_limit = 1000
workers = 4
grace = 5

[console]
theme = "nord"
refresh = 1

[retention]
completed = "12w"
failed = "36h"
cancelled = "forever"
keep_last = 0
"""


def test_everything_that_can_be_said() -> None:
    assert parse_config(EVERYTHING, "config.toml") == Config(
        targets=(
            TargetEntry(
                name="sales",
                url="/srv/sales.db",
                label="PROD",
                operations=(Operation.VACUUM, Operation.ANALYZE),
                settings={
                    "on_failure": OnFailure.STOP,
                    "lock_timeout": 30.0,
                    "verify": False,
                    "check": CheckLevel.FULL,
                    "jobs": 4,
                    "analysis_limit": None,
                },
            ),
            TargetEntry(name="app", url="sqlite:///srv/app.db"),
        ),
        defaults=Defaults(
            settings={
                "on_failure": OnFailure.STOP,
                "lock_timeout": 2.5,
                "verify": True,
                "check": CheckLevel.QUICK,
                "jobs": 2,
                "analysis_limit": 1000,
            },
            workers=4,
            grace=5.0,
        ),
        console=ConsoleConfig(theme="nord", refresh=1.0),
        retention=Retention(completed=12 * 7 * 86_400.0, failed=36 * 3_600.0, cancelled=None, keep_last=0),
    )


def test_what_is_not_said_is_at_its_default() -> None:
    assert parse_config("", "config.toml") == Config()
    assert parse_config("[defaults]\nlock_timeout = 0", "f").defaults == Defaults(settings={"lock_timeout": 0.0})
    assert parse_config("[retention]\nkeep_last = 5", "f").retention == Retention(keep_last=5)


def test_a_target_has_the_options_of_all_targets_where_it_names_none_itself() -> None:
    config = parse_config(EVERYTHING, "f")
    sales, app = (entry.with_defaults(config.defaults) for entry in config.targets)
    assert sales.options == Options(
        on_failure=OnFailure.STOP, lock_timeout=30.0, check=CheckLevel.FULL, jobs=4, analysis_limit=None
    )
    assert app.options == Options(
        on_failure=OnFailure.STOP, lock_timeout=2.5, verify=True, check=CheckLevel.QUICK, jobs=2, analysis_limit=1000
    )
    assert TargetEntry(name="x", url="x").options == Options()


SERVERS = """
[targets.shop]
url = "postgresql://dba@db1/shop"
schemas = ["public", "shop", "public"]
truncate = false
speed = "gentle"
max_lag = "64MB"
on_step_failure = "stop"

[targets.sales]
url = "/srv/sales.db"

[defaults]
speed = "normal"
pause_while = "SELECT count(*) > 50 FROM pg_stat_activity WHERE state = 'active'"
yield_after = 2
parallel_workers = 0
skip_locked = true
buffer_usage_limit = "2 MB"
analysis_limit = 1000
"""


def test_what_is_for_servers_is_for_targets_on_servers_only() -> None:
    config = parse_config(SERVERS, "f")
    shop, sales = (entry.with_defaults(config.defaults) for entry in config.targets)
    assert shop.options == Options(
        on_step_failure=OnFailure.STOP,
        server=ServerOptions(
            schemas=("public", "shop"),
            truncate=False,
            parallel_workers=0,
            skip_locked=True,
            buffer_usage_limit=2048,
            speed=Speed.GENTLE,
            max_lag=64 * 1024 * 1024,
            pause_while="SELECT count(*) > 50 FROM pg_stat_activity WHERE state = 'active'",
            yield_after=2.0,
        ),
    )
    assert sales.options == Options(analysis_limit=1000)


@pytest.mark.parametrize("written", ["0", '"0"'])
def test_no_limit_of_the_buffers_is_a_zero_and_not_the_default(written: str) -> None:
    text = f'[targets.shop]\nurl = "service=shop"\nbuffer_usage_limit = {written}\n'
    (shop,) = parse_config(text, "f").targets
    assert shop.options.server.buffer_usage_limit == 0


@pytest.mark.parametrize(
    ("said", "url", "why"),
    [
        ('speed = "warp"', "service=shop", "targets.a.speed cannot be 'warp' (known: gentle, normal, full)"),
        ('max_lag = "64"', "service=shop", "targets.a.max_lag must be a size from 0kB to 1024GB (such as max_lag"),
        ("max_lag = 64", "service=shop", "targets.a.max_lag must be text"),
        ('buffer_usage_limit = "64kB"', "service=shop", "targets.a.buffer_usage_limit must be a size from 128kB to"),
        ("schemas = []", "service=shop", 'targets.a.schemas must be a list of names (such as schemas = ["public"])'),
        ("schemas = [1]", "service=shop", "targets.a.schemas must be a list of names"),
        ("parallel_workers = 2000", "service=shop", "targets.a.parallel_workers must be a whole number from 0 to 1024"),
        ("skip_locked = 1", "service=shop", "targets.a.skip_locked must be true or false"),
        ("yield_after = -1", "service=shop", "targets.a.yield_after must be a number of seconds, 0 or more"),
        ("offline = true", "service=shop", "targets.a.offline is an unknown key"),
        ('speed = "full"', "/a.db", "targets.a.speed does not apply to a SQLite file (leave it out"),
        ("analysis_limit = 9", "postgresql:///a", "targets.a.analysis_limit does not apply to a PostgreSQL server"),
    ],
)
def test_what_is_wrong_about_a_server_is_named(said: str, url: str, why: str) -> None:
    with pytest.raises(ConfigError) as problem:
        parse_config(f'[targets.a]\nurl = "{url}"\n{said}', "f")
    assert str(problem.value).startswith(f"f, line 3: {why}")


def test_a_home_directory_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/dba")
    (target,) = parse_config('[targets.a]\nurl = "~/a.db"', "f").targets
    assert target.url == "/home/dba/a.db"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[defualts]", "f, line 1: defualts is an unknown key (did you mean defaults?)"),
        ("\n[console]\ncolour = 1", "f, line 3: console.colour is an unknown key (known here: theme,"),
        ('[targets.a]\nurl = "a"\nurll = "b"', "f, line 3: targets.a.urll is an unknown key (did you mean"),
        ('[targets.a]\nlabel = "A"', "f, line 1: targets.a.url is missing"),
        ('[targets]\na = "a.db"', "f, line 2: targets.a must be a table (write it as [targets.a])"),
        ('targets = "x"', "f, line 1: targets must be a table"),
        ("[targets.a]\nurl = 5", "f, line 2: targets.a.url must be text"),
        ("[defaults]\n\nworkers = true", "f, line 3: defaults.workers must be a whole number from 1 to 64"),
        ("[defaults]\nworkers = 0", "f, line 2: defaults.workers must be a whole number"),
        ("[defaults]\nworkers = 2.0", "f, line 2: defaults.workers must be a whole number"),
        ('[defaults]\nlock_timeout = "5"', "f, line 2: defaults.lock_timeout must be a number of seconds"),
        ("[defaults]\nlock_timeout = -1", "f, line 2: defaults.lock_timeout must be a number of seconds"),
        ("[defaults]\nlock_timeout = nan", "f, line 2: defaults.lock_timeout must be a number of seconds"),
        ("[defaults]\nlock_timeout = true", "f, line 2: defaults.lock_timeout must be a number of seconds"),
        ('[defaults]\non_failure = "go"', "f, line 2: defaults.on_failure cannot be 'go' (known: continue, stop)"),
        ('[defaults]\nverify = "yes"', "f, line 2: defaults.verify must be true or false (such as verify = true)"),
        ("[defaults]\nverify = 1", "f, line 2: defaults.verify must be true or false"),
        ('[defaults]\ncheck = "deep"', "f, line 2: defaults.check cannot be 'deep' (known: quick, full)"),
        ("[defaults]\njobs = 0", "f, line 2: defaults.jobs must be a whole number from 1 to 64"),
        ("[defaults]\nanalysis_limit = -1", "f, line 2: defaults.analysis_limit must be a whole number from 0 to"),
        ('[targets.a]\nurl = "a"\njobs = "2"', "f, line 3: targets.a.jobs must be a whole number from 1 to 64"),
        ('[targets.a]\nurl = "a"\nforce = true', "f, line 3: targets.a.force is an unknown key"),
        ("[defaults]\ngrace = inf", "f, line 2: defaults.grace must be a number of seconds"),
        ("[retention]\nfailde = 1", "f, line 2: retention.failde is an unknown key (did you mean failed?)"),
        ("[retention]\nskipped = '1d'", "f, line 2: retention.skipped is an unknown key (known here: comp"),
        (
            "[retention]\n\nfailed = '90 days'",
            'f, line 3: retention.failed must be an age, or "forever" (such as failed = "90d", "12w" or "36h")',
        ),
        ("[retention]\ncompleted = ''", "f, line 2: retention.completed must be an age"),
        ("[retention]\ncompleted = 90", "f, line 2: retention.completed must be text"),
        ("[retention]\nkeep_last = -1", "f, line 2: retention.keep_last must be a whole number from 0 to 10000"),
        ("[retention]\nkeep_last = 10001", "f, line 2: retention.keep_last must be a whole number from 0 to 10000"),
        ('[retention]\nkeep_last = "5"', "f, line 2: retention.keep_last must be a whole number"),
        ("[console]\nrefresh = 0", "f, line 2: console.refresh must be at least 0.05 seconds"),
        (
            '[targets.a]\nurl = "a"\noperations = [\n "vacuum",\n "bogus",\n]',
            "f, line 3: targets.a.operations cannot be 'bogus' (known: vacuum,",
        ),
        ('[targets.a]\nurl = "a"\noperations = []', "f, line 3: targets.a.operations must be a list of operations"),
        (
            '[targets.a]\nurl = "a"\noperations = ["vacuum", "vacuum"]',
            "f, line 3: targets.a.operations names an operation twice",
        ),
        ('[targets.a]\nurl = "a"\noperations = [1]', "f, line 3: targets.a.operations cannot be 1"),
        ('targets = {a = {url = "a", x = 1}}', "f, line 1: targets.a.x is an unknown key"),
        ("[defaults]\nworkers = ", "f, line 2: Invalid value"),
        ('[defaults]\n\ntheme = "x', "f, line 3: "),
        ("[console]\n[console]", "f, line 2: "),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_file_line_and_key(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match="^" + re.escape(said)):
        parse_config(text, "f")


def test_a_file_is_read_also_where_the_working_directory_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, gone = tmp_path / "config.toml", tmp_path / "gone"
    path.write_text('[targets.sales]\nurl = "/srv/sales.db"\n')
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert [entry.name for entry in load_config(path, required=False).targets] == ["sales"]


def test_a_missing_file_matters_only_where_it_was_named(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    assert load_config(path, required=False) == Config()
    with pytest.raises(ConfigError, match="no such config"):
        load_config(path, required=True)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Is a directory"):
        load_config(tmp_path, required=False)
    (tmp_path / "latin.toml").write_bytes(b'theme = "\xe9"')
    with pytest.raises(ConfigError, match="not UTF-8 text"):
        load_config(tmp_path / "latin.toml", required=False)


def test_a_console_may_be_read_only() -> None:
    assert parse_config("[console]\nread_only = true", "config.toml").console.read_only
    assert not parse_config("[console]\nrefresh = 1", "config.toml").console.read_only
    with pytest.raises(ConfigError, match="true or false"):
        parse_config('[console]\nread_only = "yes"', "config.toml")


def test_what_workers_do_for_other_logins() -> None:
    text = '[worker]\nallow = ["pause_while", "backup_to"]\ndirectories = ["/srv", "/var/backups"]'
    found = parse_config(text, "config.toml").worker
    assert found == WorkerConfig(allow=(Lent.PAUSE_WHILE, Lent.BACKUP_TO), directories=("/srv", "/var/backups"))
    assert parse_config("", "config.toml").worker == WorkerConfig()
    for wrong in ('allow = ["force"]', 'directories = ["srv"]', 'allow = "backup_to"'):
        with pytest.raises(ConfigError):
            parse_config(f"[worker]\n{wrong}", "config.toml")


def test_every_key_is_a_field_and_every_field_is_a_key() -> None:
    for keys, model, others in (
        (TARGET_KEYS, TargetEntry, {"name", "pattern", "is_found", "is_word", "settings", "advice"}),
        (DEFAULTS_KEYS, Defaults, {"settings", "advice"}),
        (ADVICE_KEYS, Thresholds, set()),
        (CONSOLE_KEYS, ConsoleConfig, {"keys"}),
        (RETENTION_KEYS, Retention, set()),
        (STORE_KEYS, StoreConfig, set()),
        (ALLOW_KEYS, WorkerConfig, set()),
    ):
        assert keys.keys() | others == {field.name for field in fields(model)}


ADVICE = """
[targets.sales]
url = "/srv/sales.db"
advice = { reclaim_soon = "1MB" }

[targets.shop]
url = "postgresql://dba@db1/shop"

[targets.shop.advice]
age_critical = "60%"

[advice]
reclaim_soon = "1.5 GB"
reclaim_now_share = "40%"
full_check_every = "90d"
dead_rows_now = 3
"""


def test_thresholds_of_all_targets_and_of_one() -> None:
    config = parse_config(ADVICE, "config.toml")
    sales, shop = (entry.with_defaults(config.defaults).thresholds for entry in config.targets)
    for_all = Thresholds(
        reclaim_soon=1_500_000_000, reclaim_now_share=0.4, full_check_every=90 * DAY, dead_rows_now=3.0
    )
    assert sales == replace(for_all, reclaim_soon=1_000_000)
    assert shop == replace(for_all, age_critical=0.6)
    assert parse_config("", "config.toml").defaults.advice == {}


@pytest.mark.parametrize(
    ("text", "line", "why", "hint"),
    [
        ('[advice]\nreclaim = "1MB"', 2, "advice.reclaim is an unknown key", "did you mean reclaim_now?"),
        ("[advice]\nreclaim_soon = 5", 2, "advice.reclaim_soon must be text", 'such as reclaim_soon = "..."'),
        ('[advice]\nsmall = "big"', 2, "advice.small must be a size", 'such as small = "16MB"'),
        ('[advice]\nsmall = "-1MB"', 2, "advice.small must be a size", 'such as small = "16MB"'),
        (
            '[advice]\n\nlog_share = "120%"', 3, "advice.log_share must be a percentage from 0% to 100%",
            'such as log_share = "25%"',
        ),
        (
            '[advice]\nlog_share = "25"', 2, "advice.log_share must be a percentage from 0% to 100%",
            'such as log_share = "25%"',
        ),
        ("[advice]\nage_now = 0.5", 2, "advice.age_now must be a number, 1 or more", "such as age_now = 5"),
        ("[advice]\nage_now = true", 2, "advice.age_now must be a number, 1 or more", "such as age_now = 5"),
        ("[advice]\nage_now = nan", 2, "advice.age_now must be a number, 1 or more", "such as age_now = 5"),
        (
            '[advice]\nfull_check_every = "often"', 2, "advice.full_check_every must be a duration",
            'such as full_check_every = "30m"',
        ),
        (
            '[targets.a]\nurl = "/a.db"\nadvice = { age_now = 3 }', 3,
            "targets.a.advice.age_now does not apply to a SQLite file", "leave it out here",
        ),
        (
            '[targets.a]\nurl = "postgresql://a/b"\n[targets.a.advice]\nlog_size = "1MB"', 4,
            "targets.a.advice.log_size does not apply to a PostgreSQL server", "leave it out here",
        ),
        (
            "[targets.a]\nurl = '/a.db'\nadvice = 3", 3,
            "targets.a.advice must be a table", "write it as [targets.a.advice]",
        ),
        ("advice = 3", 1, "advice must be a table", "write it as [advice]"),
    ],
)  # fmt: skip
def test_a_wrong_threshold_is_told_with_its_line(text: str, line: int, why: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, "config.toml")
    assert (caught.value.what, caught.value.why, caught.value.hint) == (f"config.toml, line {line}", why, hint)
