"""Every command on a page works, and exits as the page says.

The lines of a page run in order, in a directory with a small `sales.db`, with a home, store and config of their own.
What a page calls `/srv`, `service=prod` or job 42 is there, under its own name.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from configparser import RawConfigParser
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from benchmarks.terminal import Terminal
from engine.config.parser import parse_config
from engine.domain.errors import DbtendError
from tests.docs.pages import PAGES, ROOT, blocks, commands, commands_of, name_of
from tests.forked_python import ForkedPython
from tests.postgres_databases import Database, new_database
from tests.sqlite_files import make_database
from tui.commands.arguments import COMMANDS, parse, parser_of

JOB = re.compile(r"(?<!:)\b42\b")  # no minute
NOT_PLAIN = set("\"'\\`$|&;<>(){}[]*?~#!\n")
"""What a shell reads otherwise than as a part of a word."""
CALL = re.compile(r"(?:^|[\s/(\"])dbtend(?: (.*))?$")


def needs_server(page: Path) -> bool:
    return any(command.mark == "server" for command in commands_of(page))


with_server = pytest.mark.parametrize("page", [page for page in PAGES if needs_server(page)], ids=name_of)
without_server = pytest.mark.parametrize("page", [page for page in PAGES if not needs_server(page)], ids=name_of)
all_pages = pytest.mark.parametrize("page", PAGES, ids=name_of)


class Place:
    """Where the lines of a page run."""

    def __init__(self, directory: Path, database: Database | None = None, store: Database | None = None) -> None:
        self.directory, self.database, self.store = directory, database, store
        (directory / "srv").mkdir()
        make_database(directory / "sales.db", rows=400)
        for name in ("sales.db", "a.db", "b.db"):
            make_database(directory / "srv" / name, rows=400)
        self.environment = {
            **os.environ,
            "HOME": str(directory),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "XDG_STATE_HOME": str(directory / ".local" / "state"),
            "XDG_CONFIG_HOME": str(directory / ".config"),
            "PGSERVICEFILE": str(self._services()),
        }
        for name in ("DBTEND_STORE", "DBTEND_CONFIG", "DBTEND_READ_ONLY"):
            self.environment.pop(name, None)

    def _services(self) -> Path:
        services = self.directory / "services"
        if self.database is not None:
            services.write_text(
                f"[prod]\nhost={self.database.server.base}\nuser=postgres\ndbname={self.database.name}\n"
            )
        return services

    def here(self, text: str) -> str:
        """The text with what stands for something of the reader's own replaced by what is here."""
        text = text.replace("/srv/", f"{self.directory}/srv/")
        text = re.sub(r"--until \d\d:\d\d", f"--until {datetime.now() + timedelta(hours=3):%H:%M}", text)
        if self.database is not None:
            text = text.replace("postgresql://dba@db1/shop", shlex.quote(self.database.url))
        if self.store is not None:
            text = text.replace("postgresql://dba@db1/dbtend", shlex.quote(self.store.url))
        return JOB.sub(self._newest_job, text)

    def _newest_job(self, _: re.Match[str]) -> str:
        done = self._run("dbtend history --limit 1 --json | grep -o '\"id\": [0-9]*'")
        return done.stdout.split()[1]

    def configure(self, text: str) -> None:
        config = self.directory / ".config" / "dbtend" / "config.toml"
        config.parent.mkdir(parents=True, exist_ok=True)
        config.write_text(self.here(text))

    def run(self, line: str) -> tuple[int, str, str]:
        """The exit code of a line that is typed at a shell, what it wrote, and its errors."""
        line = self.here(line)
        if opens_console(line):
            return self._in_a_terminal(line), "", ""
        done = self._run(line)
        return done.returncode, done.stdout, done.stderr

    def run_python(self, code: str) -> None:
        environment = {**self.environment, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", code]
        subprocess.run(command, cwd=self.directory, env=environment, check=True, timeout=120, capture_output=True)

    def _run(self, line: str) -> subprocess.CompletedProcess[str]:
        program, *words = line.split()
        is_plain = program == "dbtend" and not set(line) & NOT_PLAIN
        command = [sys.executable, "-m", "tui.cli", *words] if is_plain else ["bash", "-c", line]
        start = ForkedPython[str] if is_plain else subprocess.Popen[str]
        with start(
            command, cwd=self.directory, env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
        ) as process:  # fmt: skip
            out, err = process.communicate(timeout=120)
        return subprocess.CompletedProcess(command, process.returncode, out, err)

    def _in_a_terminal(self, line: str) -> int:
        """The exit code of a console that is left again."""
        command = f"cd {shlex.quote(str(self.directory))} && {line}; echo exit code $?, gone"
        with Terminal(["bash", "-c", command], columns=100, environment=self.environment) as terminal:
            terminal.read_until("sales.db")
            terminal.send(b"q")
            terminal.read_until(", gone")
            return int(bytes(terminal.output).rpartition(b"exit code ")[2].split(b",")[0])


def opens_console(line: str) -> bool:
    words = shlex.split(line)
    return words[0] == "dbtend" and not {"--version", "--help"} & set(words) and parse(words[1:]).command is None


@without_server
def test_each_command_exits_as_the_page_says(page: Path, tmp_path: Path) -> None:
    follow(page, Place(tmp_path))


@with_server
def test_each_command_on_a_server_exits_as_the_page_says(page: Path, tmp_path: Path, database: Database) -> None:
    database("CREATE EXTENSION amcheck", "CREATE TABLE orders (id int PRIMARY KEY)")
    database("INSERT INTO orders SELECT generate_series(1, 100)")
    with new_database(database.server) as store:
        follow(page, Place(tmp_path, database, store))


def follow(page: Path, place: Place) -> None:
    """Do what the page says, line by line."""
    said = ""
    for block in blocks(page):
        if block.language == "toml":
            place.configure(block.text)
        if block.language == "python":
            place.run_python(block.text)
        if block.language == "json":
            assert missing(json.loads(block.text), json.loads(said)) == []
        for command in commands(block):
            if command.mark in {"", "server"}:
                code, said, problem = place.run(command.line)
                assert code == command.exit_code, f"{command.line}\n{said}{problem}"


def missing(example: object, real: object, path: str = "") -> list[str]:
    """The keys of an example that the real document does not have."""
    if isinstance(example, dict) and isinstance(real, dict):
        return [
            key
            for name, value in example.items()
            for key in (missing(value, real[name], f"{path}.{name}") if name in real else [f"{path}.{name}"])
        ]
    if isinstance(example, list) and isinstance(real, list) and example:
        return missing(example[0], real[0], f"{path}[0]") if real else [f"{path}[0]"]
    return []


@all_pages
def test_what_is_not_run_is_a_call_that_dbtend_takes(page: Path) -> None:
    lines = [command.line for command in commands_of(page) if command.mark.startswith("not run")]
    for block in blocks(page):
        if block.language in {"cron", "ini", "sh"}:
            lines += block.text.splitlines()
    assert {line: problem for line in lines for problem in problems(line)} == {}


@pytest.mark.parametrize(
    "line",
    [
        "dbtend rnu sales.db", "dbtend run sales.db --opp vacuum", "dbtend run sales.db --op vacum",
        "0 2 * * *  dbtend run sales.db --until 25:00 > /dev/null", "ExecStart=%h/.local/bin/dbtend wroker",
        "dbtend advise sales.db --jsn | jq .", "x=$(dbtend histroy)",
    ],
)  # fmt: skip
def test_a_call_that_dbtend_does_not_take_is_found(line: str) -> None:
    assert list(problems(line))


@all_pages
def test_each_script_is_one_that_a_shell_reads(page: Path) -> None:
    for block in blocks(page):
        if block.language == "sh":
            done = subprocess.run(["bash", "-n"], input=block.text, text=True, capture_output=True, check=False)
            assert (done.returncode, done.stderr) == (0, "")


@all_pages
def test_each_unit_has_the_sections_and_keys_that_systemd_knows(page: Path) -> None:
    for block in blocks(page):
        if block.language == "ini":
            unit = RawConfigParser()
            unit.optionxform = str  # type: ignore[assignment,method-assign]
            unit.read_string(block.text)
            assert {(section, key) for section in unit for key in unit[section]} <= UNIT_KEYS


UNIT_KEYS = {
    *(("Unit", key) for key in ("Description", "OnFailure", "Wants", "After")),
    *(("Service", key) for key in ("Type", "ExecStart", "Restart", "SuccessExitStatus", "KillMode", "TimeoutStopSec")),
    *(("Service", key) for key in ("Environment", "RestartSec", "User")),
    *(("Timer", key) for key in ("OnCalendar", "Persistent")),
    ("Install", "WantedBy"),
}
"""Of systemd.unit(5), systemd.service(5) and systemd.timer(5), what the pages use."""


@all_pages
def test_each_call_and_option_inside_a_sentence_is_known(page: Path) -> None:
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL))
    calls = [span for span in spans if span.startswith("dbtend ")]
    assert {call: problem for call in calls for problem in problems(call)} == {}
    options = {option for span in spans for option in re.findall(r"^(--[a-z-]+)\b", span)}
    assert options - OPTIONS - OF_OTHERS == set()


OPTIONS = {option for name in (None, *COMMANDS) for option in re.findall(r"--[a-z-]+", parser_of(name).format_help())}
OF_OTHERS = {"--"}


def problems(line: str) -> Iterator[str]:
    """Why dbtend would not take the call of it in this line."""
    call = CALL.search(re.split(r"\s*(?:[|;)]|[12]?>)", line)[0])
    if call is None or line.lstrip().startswith("#"):
        return
    try:
        args = parse(shlex.split(call[1] or ""))
    except SystemExit:
        return  # --help, --version
    except DbtendError as error:
        yield str(error)
        return
    if args.command is None and args.words and args.words[0].isalpha() and args.words[0].islower():
        yield f"{args.words[0]} is no command"


@all_pages
def test_each_target_of_make_is_there(page: Path) -> None:
    lines = [command.line for command in commands_of(page) if command.mark == "make"]
    lines += re.findall(r"`(make [a-z]+)`", page.read_text())
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {line for line in lines if line.removeprefix("make ") not in targets} == set()


@all_pages
def test_each_extra_that_is_installed_is_there(page: Path) -> None:
    named = {extra for command in commands_of(page) for extra in re.findall(r"\.\[(\w+)\]", command.line)}
    assert named <= set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"])


@all_pages
def test_each_config_on_a_page_is_one_that_dbtend_reads(page: Path) -> None:
    for block in blocks(page):
        if block.language == "toml":
            parse_config(block.text, name_of(page))
