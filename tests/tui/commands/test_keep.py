"""`dbtend run --op backup --keep N`, as it is typed and configured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine import Operation, Request
from engine.config.parser import parse_config
from engine.domain.errors import UsageError
from tests.sqlite_files import content, make_database
from tests.tui.command_line import CommandLine
from tui.commands.arguments import parse
from tui.commands.settings import requests
from tui.commands.targets import target_entries


def backups_in(directory: Path) -> set[Path]:
    return {entry for entry in directory.iterdir() if ".backup-" in entry.name}


def test_many_databases_keep_their_own_number_each(dbtend: CommandLine, tmp_path: Path) -> None:
    srv, to = tmp_path / "srv", tmp_path / "copies"
    to.mkdir()
    paths = []
    for place in ("eu", "us"):
        (srv / place).mkdir(parents=True)
        paths += [make_database(srv / place / name, rows=rows) for name, rows in (("app.db", 4), ("b.db", 9))]
    argv = ("run", str(srv / "*" / "*.db"), "--op", "backup", "--backup-to", to, "--keep", "2", "--workers", "2")
    for _ in range(3):
        result = dbtend(*argv)
        assert result.code == 0, result
    assert len(backups_in(to)) == 2 * len(paths)
    result = dbtend(*argv, "--json")
    last = {job["target"]: job["children"][0]["after"] for job in json.loads(result.out)["jobs"]}
    assert len(last) == len(paths)
    assert [len(facts["backups_removed"]) for facts in last.values()] == [1] * len(paths)
    for path in paths:
        (facts,) = (facts for target, facts in last.items() if target.endswith(str(path)))
        assert content(Path(facts["backup"])) == content(path)


def test_the_plan_names_what_goes_and_the_result_says_how_many(dbtend: CommandLine, sales: Path) -> None:
    for _ in range(2):
        assert dbtend("run", sales, "--op", "backup").code == 0
    old = backups_in(sales.parent)
    result = dbtend("plan", sales, "--op", "backup", "--keep", "1")
    assert all(str(file) in result.out.replace("\n", "") for file in old), result.out
    assert backups_in(sales.parent) == old
    result = dbtend("run", sales, "--op", "backup", "--keep", "1")
    assert "2 old backups removed" in result.out
    assert len(backups_in(sales.parent)) == 1


def test_the_number_of_the_config_file_holds_for_backups_only(dbtend: CommandLine, sales: Path) -> None:
    dbtend.configure(f"[targets.sales]\nurl = {json.dumps(str(sales))}\n[defaults]\nkeep = 2\n")
    for _ in range(4):
        assert dbtend("run", "sales", "--op", "backup").code == 0
    assert len(backups_in(sales.parent)) == 2
    assert dbtend("run", "sales", "--op", "check").code == 0
    assert dbtend("run", "sales", "--op", "backup", "--backup-to", sales.with_name("copy.db")).code == 0


def test_a_target_of_the_config_file_is_no_old_backup(dbtend: CommandLine, sales: Path) -> None:
    assert dbtend("run", sales, "--op", "backup").code == 0
    (first,) = backups_in(sales.parent)
    dbtend.configure(f"[targets.live]\nurl = {json.dumps(str(first))}\n")
    result = dbtend("run", sales, "--op", "backup", "--keep", "1")
    assert f"{first.name} stays: " in result.out.replace("\n", " ")
    assert first.exists()


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("run service=x --op vacuum --keep 3", "--keep: PostgreSQL has nothing like it (leave it out: pg_dump"),
        ("run x.db --op vacuum --keep 3", "--keep: does not apply to vacuum, only to backup (add --op backup"),
        ("run x.db --op backup --keep 0", "'0': is no value of --keep (give a whole number from 1 to 10,000)"),
        ("run x.db --op backup --keep -1", "'-1': is no value of --keep"),
        ("run x.db --op backup --keep all", "'all': is no value of --keep"),
        ("run x.db --op backup --keep 2 --backup-to /no/such.db", "--keep: counts backups in a directory"),
    ],
)
def test_what_cannot_be_meant(line: str, problem: str) -> None:
    with pytest.raises(UsageError) as caught:
        asked(line)
    assert problem in str(caught.value)


def asked(line: str) -> list[Request]:
    args = parse(line.split())
    return requests(args, target_entries(args.words, parse_config("", "f")))


def test_the_defaults_hold_for_sqlite_only() -> None:
    config = parse_config(
        '[defaults]\nkeep = 3\n[targets.a]\nurl = "/a.db"\n[targets.b]\nurl = "/b.db"\nkeep = 9\n'
        '[targets.c]\nurl = "postgresql://h/c"\n',
        "f",
    )
    args = parse(["run", "a", "b", "c"])
    entries = [entry.with_defaults(config.defaults) for entry in config.targets]
    assert [entry.options.keep for entry in entries] == [3, 9, None]
    args = parse(["run", "a", "b", "--op", "backup"])
    a, b = requests(args, target_entries(args.words, config))
    assert (a.options.keep, b.options.keep, a.operations) == (3, 9, (Operation.BACKUP,))
