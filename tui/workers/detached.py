"""The detached worker process that carries out the console's jobs and outlives it.

Who serves a store says so by a shared lock on a file beside it, which the kernel drops at the process's death.
A worker that leaves drops it first and looks for jobs once more after that; a console submits first and looks
for the lock after that. So no job is left lying between the two.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Final

from engine import StoreLocation
from engine.domain import typed_passwords
from engine.domain.errors import DbtendError, StoreError
from engine.domain.humanize import listed
from engine.inspection import inspector
from engine.system import locks
from engine.system.private_files import open_private, private_directory

IDLE_EXIT_SECONDS: Final = 60
PASSWORDS_FROM_STDIN: Final = "--passwords-from-stdin"
TYPED: Final = "its password was typed here"
_STARTING_SECONDS: Final = 10.0
"""A process this young may not hold the lock yet; one that is leaving is older than IDLE_EXIT_SECONDS.

Where one failed, another is started only after as long.
"""
_STOPPING_SECONDS: Final = 10.0
_LOOK_EVERY: Final = 0.05
"""Seconds between two looks whether another pool serves, or is gone."""
_LOG_LIMIT: Final = 1_000_000
"""Bytes; a log that has grown beyond becomes the one before, which is all that is kept."""


class DetachedWorker:
    """Sees to it that some worker process of this host serves the store."""

    def __init__(
        self,
        store: Path | StoreLocation,
        *,
        workers: int | None = None,
        config_path: Path | None = None,
        grace: float | None = None,
    ) -> None:
        """
        Args:
            workers: how many jobs it carries out at once; None as its config says.
            config_path: unless it is the default one.
            grace: seconds that what runs may go on for when it is stopped; None as its config says.
        """
        self._location = StoreLocation.of(store)
        self._store = self._location.path
        options = {"--workers": workers, "--config": config_path, "--grace": grace}
        self._options = [text for name, value in options.items() if value is not None for text in (name, str(value))]
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self._words: int | None = None
        """From which what the process tells can be read,"""
        self._output = b""
        """and what it has told: why it ended."""
        self._told: Mapping[str, str] = {}
        """The passwords that the process was started with."""

    def lacks(self, url: str) -> str:
        """What a connection to this target needs and only this process has, as text; "" for nothing.

        The worker process that takes on the next job may run already: it gets no more passwords. A new
        process gets the typed passwords, and the environment of this one.
        """
        password = typed_passwords.typed_for(url)
        is_ours = self._process is not None and self._process.poll() is None
        if is_ours:
            return TYPED if password is not None and self._told.get(typed_passwords.server_of(url)) != password else ""
        if not is_served(self._store):
            return ""
        if password is not None:
            return TYPED
        names = not_set_alike(inspector.environment_of(url), private_directory(self._store) / "worker.lock")
        return f"{listed(names)} {'is' if len(names) == 1 else 'are'} set here only" if names else ""

    def ensure(self) -> None:
        """Start one unless one runs. Raises StoreError if that fails, or if the last one ended at once."""
        if self._is_starting() or is_served(self._store):
            return
        if self._failed_at_once():
            raise self._failure()
        try:
            self._told = typed_passwords.typed()
            self._process = self._start(self._told)
        except OSError as error:
            what = f": {error.filename}" if error.filename else ""
            hint = "fix that, or run dbtend worker at a terminal"
            raise StoreError("worker", f"cannot be started: {error.strerror}{what}", hint) from error
        self._started_at = time.monotonic()

    def stop(self) -> None:
        """End the process that this object started, if any: safely, or by force if that takes too long."""
        if self._process is None:
            return
        while self._process.poll() is None:
            self._process.terminate()  # the second time it leaves at once
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_STOPPING_SECONDS)

    def _start(self, secrets: Mapping[str, str]) -> subprocess.Popen[bytes]:
        if self._words is not None:
            os.close(self._words)
        self._words, words = os.pipe()
        os.set_blocking(self._words, False)  # another process that it has forked may live on
        self._output = b""
        try:
            return _start(self._location, self._options, secrets, words)
        finally:
            os.close(words)

    def _is_starting(self) -> bool:
        return self._process is not None and self._process.poll() is None and self._is_young

    def _failed_at_once(self) -> bool:
        return self._process is not None and (self._process.poll() or 0) > 0 and self._is_young

    def _failure(self) -> DbtendError:
        """Why the process ended, as far as it has told."""
        if self._words is not None:
            with suppress(BlockingIOError):
                self._output += os.read(self._words, 65_536)
        with suppress(ValueError, KeyError, TypeError):
            error = json.loads(self._output)["error"]
            return StoreError("worker", error["message"], error["hint"])
        return StoreError("worker", "it ended right after its start", f"see {_log(self._store)}")

    @property
    def _is_young(self) -> bool:
        return time.monotonic() - self._started_at < _STARTING_SECONDS


def serving(store: Path) -> AbstractContextManager[None]:
    """Say, while inside, that this process takes on every job of the store."""
    return locks.sharing(private_directory(store) / "worker.lock")


@contextmanager
def sole_pool(store: Path) -> Iterator[bool]:
    """Be the one pool of worker processes of the store on this host while inside, as all that it forks are.

    Gives False where another one serves the store. One that only begins, or is about to leave, may not take on what
    was submitted just now: it is waited for until it serves, or is gone.
    """
    path = _pool_lock(store)
    while (lock := locks.take(path)) is None:
        if is_served(store):
            yield False
            return
        time.sleep(_LOOK_EVERY)
    try:
        yield True
    finally:
        os.close(lock)


def is_served(store: Path) -> bool:
    """Whether a worker process takes on every job of the store; a `dbtend run` takes on its own only.

    False where that cannot be seen: who starts one then is told why that fails.
    """
    return locks.is_held(private_directory(store) / "worker.lock", shared=True, unknown=False)


def has_pool(store: Path) -> bool:
    """Whether there is a pool of worker processes of the store, also one that only begins or is about to leave."""
    return locks.is_held(_pool_lock(store))


def _pool_lock(store: Path) -> Path:
    return private_directory(store) / "pool.lock"


def _start(
    store: StoreLocation, options: Sequence[str], secrets: Mapping[str, str], words: int
) -> subprocess.Popen[bytes]:
    """Start it.

    Args:
        secrets: go through a private pipe, and exist only in the memory of both processes.
        words: where it tells why it ends, if it has to.
    """
    idle_exit = str(IDLE_EXIT_SECONDS)
    # Without -P, Python would import a directory `tui` of the current directory instead of the installed package.
    command = [sys.executable, "-P", "-m", "tui.cli", "worker", "--json", "--idle-exit", idle_exit]
    command += ["--store", str(store)]
    log = _open_log(_log(store.path))
    try:
        # A session of its own: a dropped terminal does not end it.
        process = subprocess.Popen(
            [*command, *options, *([PASSWORDS_FROM_STDIN] if secrets else [])],
            cwd="/",
            stdin=subprocess.PIPE if secrets else subprocess.DEVNULL,
            stdout=words,
            stderr=log,
            start_new_session=True,
        )
    finally:
        os.close(log)
    if process.stdin is not None:
        with suppress(BrokenPipeError), process.stdin as pipe:
            pipe.write(json.dumps(dict(secrets)).encode())
    return process


def _open_log(path: Path) -> int:
    with suppress(FileNotFoundError):
        if path.stat().st_size > _LOG_LIMIT:
            path.replace(path.with_name(path.name + ".1"))
    return open_private(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)


def _log(store: Path) -> Path:
    return private_directory(store) / "worker.log"


_LOCKED: Final = re.compile(r"\d+: FLOCK +ADVISORY +READ +(\d+) [0-9a-f]+:[0-9a-f]+:(\d+) ", re.MULTILINE)


def not_set_alike(wanted: Mapping[str, str], lock: Path) -> list[str]:
    """The variables that the processes which hold this lock do not have, or have with another value.

    All of them if that is unknown: for processes on another machine, and on systems other than Linux.
    """
    environments = list(_environments(lock))
    if not environments:
        return list(wanted)
    return [name for name, value in wanted.items() if any(there.get(name) != value for there in environments)]


def _environments(lock: Path) -> Iterator[Mapping[str, str]]:
    try:
        inode = lock.stat().st_ino
        pids = [pid for pid, locked in _LOCKED.findall(Path("/proc/locks").read_text()) if int(locked) == inode]
        for pid in pids:
            variables = os.fsdecode(Path(f"/proc/{pid}/environ").read_bytes()).split("\0")
            yield {name: value for name, _, value in (variable.partition("=") for variable in variables)}
    except OSError:
        yield {}  # the process of another user has no variables for this one
