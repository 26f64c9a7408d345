"""A command that dbtend proposes names exactly the database, and the job, that it is about."""

from __future__ import annotations

import asyncio
import os
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from engine import EngineName, Operation, Reason, Status
from engine.config.model import Config
from engine.domain.server_names import command_word
from engine.fleet.expansion import expand
from engine.targets import resolve
from tests.sqlite_files import make_database
from tests.tui.command_line import CommandLine
from tests.tui.jobs import child, parent, rescued
from tui.commands.arguments import parse
from tui.commands.report import instructions
from tui.commands.targets import target_entries
from tui.presentation.job_notes import advice
from tui.presentation.text import plain

NAMES = (
    "shop.db", "two words.db", "it's.db", 'say "x".db', "-rf.db", "--op", "a\nb.db", "a*.db", "[a].db", "a?b.db",
    "$(id).db", "a;b#c.db", "%41.db", "a%2Ab.db", "level:now", "@all", "tr\u202eap.db", "no\xa0break.db", "sqlite:x.db",
    "zoë.db", "a\\b.db", "\x1b[31m.db", os.fsdecode(b"\xff.db"), "~.db", "ends in a dot.",
)  # fmt: skip


def targets_of(command: str) -> list[str]:
    """The canonical URLs of the databases that a command names, as it stands on a terminal."""
    assert command == plain(command)
    program, *words = shlex.split(command)
    assert program == "dbtend"
    found = asyncio.run(expand(target_entries(parse(words).words, Config())))
    return [resolve(entry.url).url for entry in found.targets]


@pytest.mark.parametrize("name", NAMES)
def test_a_word_names_one_file_among_others(name: str, tmp_path: Path) -> None:
    for other in (*NAMES, "ab.db", "axb.db", "a.db", "A.db"):
        make_database(tmp_path / other, rows=1)
    url = resolve(str(tmp_path / name)).url
    assert targets_of(f"dbtend fleet {command_word(url)}") == [url]


@pytest.mark.parametrize(
    "target",
    [
        "sqlite://db2/srv/it's a.db",
        "postgresql://ann@db1/two%20words?sslmode=require",
        "postgresql://h/a%27b%22c%0Ad",
        "postgresql://h/zo\xeb\u202e",
        "dbname=shop host=/run/a",
        "mysql://h/a%60b%20c",
        "mariadb://root@localhost/shop?socket=/run/server/socket",
    ],
)
def test_a_word_names_one_database_elsewhere(target: str) -> None:
    url = resolve(target).url
    assert targets_of(f"dbtend fleet {command_word(url)}") == [url]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("by_link", [False, True])
def test_a_refusal_for_damage_proposes_to_take_note_of_that_of_this_file(
    name: str, by_link: bool, dbtend: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "files").mkdir()
    path = make_database(tmp_path / "files" / ("real" if by_link else name), rows=2_000)
    if by_link:
        path.with_name(name).symlink_to(path)
    monkeypatch.chdir(path.parent)
    with path.open("r+b") as file:
        file.seek(5 * 4096)
        file.write(b"\x13" * 4096)
    assert dbtend("run", "--op", "check", "--", f"./{name}").code == 1
    (job,) = dbtend("run", "--op", "vacuum", "--json", "--", f"./{name}").json["jobs"]
    (vacuum,) = job["children"]
    assert vacuum["reason"] == "damaged"
    command = vacuum["error"].partition("take note of that (")[2].rpartition("). To write to it")[0]
    monkeypatch.chdir(tmp_path)
    assert targets_of(command) == [job["target"]]
    assert dbtend(*shlex.split(command)[1:]).code == 0


@pytest.mark.parametrize("url", [*NAMES, "sqlite://db2/srv/it's a.db"])
def test_what_removes_the_copy_of_a_dead_process_names_its_file(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    target = resolve(url if "://" in url else str(make_database(tmp_path / url, rows=1))).url
    lost, _ = rescued().attempts
    ended = replace(child(1, Status.CANCELLED, Reason.SHUTDOWN), operation=Operation.BACKUP)
    job = parent(replace(ended, started_at=None, attempts=(lost,)))
    job = replace(job, engine=EngineName.SQLITE, request=replace(job.request, target=target))
    text = advice(job, job.children[0], instructions(job.children[0].id))
    assert targets_of(text[text.index("dbtend run") : text.index(" removes it")]) == [target]


@pytest.mark.parametrize("name", ["other.db", "it's {of} other.db"])
def test_a_job_of_another_store_is_looked_for_in_that_store(name: str, dbtend: CommandLine, tmp_path: Path) -> None:
    path = make_database(tmp_path / "shop.db", rows=2_000)
    with path.open("r+b") as file:
        file.seek(5 * 4096)
        file.write(b"\x13" * 4096)
    store = tmp_path / name
    run = dbtend("run", path, "--op", "check", "--op", "vacuum", "--on-failure", "stop", "--store", store)
    batch = dbtend("run", path, make_database(tmp_path / "b.db"), "--op", "check", "--store", store)
    texts = [run, batch, *(dbtend("show", what, "--store", store) for what in ("1", "b1"))]
    commands = [line[line.index("dbtend ") :] for text in texts for line in (text.out + text.err).splitlines()
                if "dbtend retry" in line or "dbtend show" in line]  # fmt: skip
    assert commands
    for command in commands:
        assert f" --store {shlex.quote(str(store))}" in command
    assert "--store" not in dbtend("run", path, "--op", "check", "--op", "vacuum", "--on-failure", "stop").out
