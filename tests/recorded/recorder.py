"""Runs the recorded commands of one kind as real processes, and writes down what came of each."""

from __future__ import annotations

import getpass
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from tests.forked_python import ForkedPython
from tests.recorded.commands import COMMANDS, WRONG_CONFIGS, Kind
from tests.recorded.databases import Databases
from tests.recorded.normalised import normalised
from tests.waiting import wait_until

ALSO: Final = """
[defaults]
workers = 1

[schedules.leap]
targets = ["@all"]
start = "0 2 29 2 *"
timezone = "UTC"
until = "05:00"

[notify.ops]
command = ["/bin/cat"]
"""
QUERIES: Final = "queries"
"""The name of the recording of all that is asked of a server."""
VERSION: Final = "version"
"""And of what answered; another version answers otherwise."""


class Recorder:
    def __init__(self, kind: Kind, databases: Databases) -> None:
        self._kind, self._databases = kind, databases
        _configure(databases.home, databases.build(), kind)
        self._environment = _environment(databases)
        self._job = "1"

    def recordings(self) -> Iterator[tuple[str, str]]:
        """Name and text of each, in the order in which the commands run."""
        queries = set[str]()
        for command in COMMANDS:
            if self._kind in command.kinds:
                with ExitStack() as meanwhile:
                    if command.locked:
                        meanwhile.enter_context(self._databases.lock())
                    if command.served:
                        meanwhile.enter_context(self._worker())
                    told = [self._called(line) for line in command.lines]
                sent = self._databases.sent()
                queries |= sent.queries
                yield command.name, "\n".join([*told, *(f"== sent by {session}" for session in sent.commands)])
        yield VERSION, f"{self._databases.version}\n"
        if queries:
            yield QUERIES, "\n\n".join(sorted(queries)) + "\n"

    def _called(self, line: str) -> str:
        line = line.replace("{job}", self._job)
        words = shlex.split(line.replace("{store}", self._databases.store))
        if words[0] == "cat":
            page = (self._databases.home / words[1]).read_text().replace("><", ">\n<")
            return f"$ {line}\n{self._as_recorded(page)}"
        with self._started(*words) as process:
            out, err = process.communicate(timeout=120)
        if jobs := re.findall(r"^(?:#(\d+) .*|(\d+))$", out, re.MULTILINE):
            self._job = "".join(jobs[-1])
        parts = [f"$ dbtend {line}\nexit code {process.returncode}\n"]
        parts += [f"== {name}\n{self._as_recorded(text)}" for name, text in (("stdout", out), ("stderr", err)) if text]
        return "".join(parts)

    def _started(self, *words: str) -> subprocess.Popen[str]:
        return ForkedPython[str](
            [sys.executable, "-m", "tui.cli", *words],
            cwd=self._databases.home, env=self._environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    @contextmanager
    def _worker(self) -> Iterator[None]:
        with self._started("worker", "--workers", "1") as worker:
            wait_until(self._is_served)
            yield
            worker.send_signal(signal.SIGTERM)

    def _is_served(self) -> bool:
        with self._started("workers", "--json") as process:
            return '"pid"' in process.communicate(timeout=120)[0]

    def _as_recorded(self, text: str) -> str:
        words = {f"{getpass.getuser()}@recorder": "ann@recorder", str(self._databases.home): "/home/ann"}
        for ours, word in {**words, str(self._databases.server): "/run/server"}.items():
            text = text.replace(ours, word)
        return normalised(text)


def _environment(databases: Databases) -> Mapping[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DBTEND", "PG", "XDG", "MYSQL"))}
    directories = {name: str(databases.home) for name in ("HOME", "TMPDIR", "XDG_STATE_HOME", "XDG_CONFIG_HOME")}
    ours = {"DBTEND_STORE": databases.store, "DBTEND_HOST": "recorder"}
    return {**kept, **directories, **ours, "COLUMNS": "120", "TZ": "UTC", "LC_ALL": "C.UTF-8"}


def _configure(home: Path, urls: Mapping[str, str], kind: Kind) -> None:
    targets = ""
    for name, url in urls.items():
        targets += f'[targets.{name}]\nurl = "{url}"\n'
        targets += 'groups = ["all"]\n' if name in {"shop", "blog"} else ""
        targets += 'schemas = ["public"]\n' if kind is Kind.POSTGRESQL else ""
    for directory in ("dbtend", "copies"):
        (home / directory).mkdir()
    for name, text in {**WRONG_CONFIGS, "dbtend/config": targets + ALSO}.items():
        (home / f"{name}.toml").write_text(text)
