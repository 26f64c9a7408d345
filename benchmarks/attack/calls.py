"""Calling dbtend in a process of its own, and judging what it says: in plain sentences, whatever it meets."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import sys
import tempfile
import time
import traceback
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Final

from tui.cli import _MODULES, entry

for _name in set(_MODULES.values()):  # once, before the forks
    import_module(f"tui.commands.{_name}")

PATIENCE: Final = 90.0
"""Seconds after which a call hangs."""
EXIT_CODES: Final = frozenset({0, 1, 2, 3, 4, 5, 130})
DIED: Final = 99
"""The exit code of a process that an exception ended."""
_DEFECT: Final = re.compile(r"internal error|Traceback|Error\b.*\bline \d+|<[a-z_.]+ object at 0x", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class FieldMessage:
    """How a call ended: by its exit code, or by minus the number of a signal."""

    code: int
    out: str
    err: str
    seconds: float


def called(argv: Sequence[str], home: Path, before: Callable[[], object] = lambda: None) -> FieldMessage:
    """`dbtend argv` in a fork of this process, that works in `home`; `before` is called there first."""

    def work() -> int:
        os.environ.update(_surroundings(home))
        home.mkdir(parents=True, exist_ok=True)
        os.chdir(home)  # what is typed may become a file
        before()
        sys.argv = ["dbtend", *argv]
        try:
            entry()
        except SystemExit as done:
            return int(done.code or 0)
        return 0

    return forked(work)


def forked(work: Callable[[], int]) -> FieldMessage:
    """`work` in a fork of this process: what it writes, and the exit code that it gives."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        begin = time.monotonic()
        process = os.fork()
        if process == 0:
            _in_the_fork(work, out.fileno(), err.fileno())
        code = _ending(process, begin + PATIENCE)
        seconds = time.monotonic() - begin
        return FieldMessage(code, _text(out.fileno()), _text(err.fileno()), seconds)


def _in_the_fork(work: Callable[[], int], out: int, err: int) -> None:
    code = DIED
    try:
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(out, 1)
        os.dup2(err, 2)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        sys.stdin = open(0, closefd=False)  # noqa: SIM115
        sys.stdout = open(1, "w", closefd=False, errors="backslashreplace")  # noqa: SIM115
        sys.stderr = open(2, "w", closefd=False, errors="backslashreplace")  # noqa: SIM115
        code = work()
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:
        with suppress(BaseException):
            os.write(2, traceback.format_exc().encode(errors="backslashreplace"))
    finally:
        os._exit(code)


def _ending(process: int, until: float) -> int:
    while time.monotonic() < until:
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    with suppress(ProcessLookupError):
        os.killpg(process, signal.SIGKILL)
    os.waitpid(process, 0)
    return -signal.SIGKILL


def _text(descriptor: int) -> str:
    return os.pread(descriptor, 50_000_000, 0).decode(errors="replace")


def faults(argv: Sequence[str], said: FieldMessage, secrets: Sequence[str] = ()) -> list[str]:
    """What is wrong with how a call ended, each with the call."""
    found = []
    if said.code not in EXIT_CODES:
        found.append(f"hangs for {said.seconds:.0f} s" if said.code == -signal.SIGKILL else f"ends with {said.code}")
    whole = said.out + said.err
    if defect := _DEFECT.search(whole):
        found.append(f"a defect is told: {whole[max(defect.start() - 100, 0) : defect.end() + 300]!r}")
    if raw := {char for char in whole if char != "\n" and unicodedata.category(char) in {"Cc", "Cf"}}:
        found.append(f"characters that a terminal obeys: {sorted(raw)!r}")
    if said.code not in {0, DIED} and said.code in EXIT_CODES and not said.err and not said.out:
        found.append(f"says nothing of why it ends with {said.code}")
    if "--json" in argv and said.code in EXIT_CODES and said.out:
        found += _faults_of_json(said.out)
    found += [f"a secret is told: {said.err[-300:]!r}" for secret in secrets if secret in whole]
    return [f"dbtend {' '.join(map(repr, argv))}: {fault}" for fault in found]


def _faults_of_json(text: str) -> list[str]:
    def no_constant(name: str) -> None:
        raise ValueError(f"{name} is no JSON")

    try:
        json.loads(text, parse_constant=no_constant)
    except ValueError as error:
        return [f"not one JSON document: {error}"]
    return []


def _surroundings(home: Path) -> Mapping[str, str]:
    return {
        "HOME": str(home),
        "XDG_STATE_HOME": str(home / "state"),
        "XDG_CONFIG_HOME": str(home / "config"),
        "DBTEND_STORE": str(home / "jobs.db"),
    }
