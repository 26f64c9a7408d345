"""Python processes that are forked from one which has imported dbtend: the imports are most of what a new one costs.

Such a process is as real as one that begins with a new interpreter: it has its own pid, standard streams, signals, exit
code and death. What shows from outside is another: its command line, and the environment in `/proc`.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import pkgutil
import runpy
import select
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, AnyStr, Final, NoReturn

_MOST_BYTES: Final = 1 << 20
_STATUS: Final = 4
"""Bytes of an exit code, as the parent sends it."""
_IMPORTED: Final = ("engine", "tui")
_LEFT_OUT: Final = ("tui.cli", "tui.console", "engine.notify.sending.__main__")
"""What runs as a program, and what commands do not import."""


class ForkedPython(subprocess.Popen[AnyStr]):
    """`python ARGUMENTS`, where they are `-m MODULE ...` or `-c CODE ...`."""

    _end: socket.socket

    def _execute_child(
        self, args: Sequence[str], _exe: Any, _preexec: Any, _close: Any, _pass: Any, cwd: Any, env: Any, *rest: Any
    ) -> None:
        """What `Popen` does by fork and exec."""
        pipes: Sequence[int] = rest[3:9]
        streams: list[int] = [own if pipe == -1 else pipe for own, pipe in enumerate((pipes[0], pipes[3], pipes[5]))]
        self._end, theirs = socket.socketpair()
        order = {"arguments": args, "directory": str(cwd or Path.cwd()), "environment": dict(env or os.environ)}
        with theirs:
            socket.send_fds(_parent(), [json.dumps(order).encode()], [*streams, theirs.fileno()])
        self._close_pipe_fds(*pipes)  # type: ignore[attr-defined]
        self.pid = self._told()
        self._child_created = True

    def __exit__(self, kind: type[BaseException] | None, *error: Any) -> None:
        """A test that fails does not wait for a process that it has not ended."""
        if kind is not None:
            self.kill()
        super().__exit__(kind, *error)

    def _internal_poll(self, *_: Any, **__: Any) -> int | None:
        return self._ended(0)

    def _wait(self, timeout: float | None) -> int:
        code = self._ended(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return code

    def _ended(self, timeout: float | None) -> int | None:
        if self.returncode is None and select.select([self._end], [], [], timeout)[0]:
            with self._waitpid_lock:  # type: ignore[attr-defined]
                if self.returncode is None:
                    self.returncode = self._told()
                    self._end.close()
        return self.returncode

    def _told(self) -> int:
        number = self._end.recv(_STATUS)
        if not number:
            raise RuntimeError("the process that is forked has ended: see its errors")
        return int.from_bytes(number, "big", signed=True)


@cache
def _parent() -> socket.socket:
    """Where the process that is forked takes orders; it ends with this one."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _MOST_BYTES)
    with theirs:
        command = [sys.executable, "-m", __name__, str(theirs.fileno())]
        process = subprocess.Popen(command, cwd=Path(__file__).parents[1], pass_fds=[theirs.fileno()])

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


def _import_all() -> None:
    for package in _IMPORTED:
        found = pkgutil.walk_packages(import_module(package).__path__, f"{package}.")
        for name in (module.name for module in found if not module.name.startswith(_LEFT_OUT)):
            import_module(name)


def _fork(orders: socket.socket) -> Mapping[str, Any] | None:
    """Fork for each order, until there will be none; in each fork, return its order."""
    running: dict[int, tuple[int, socket.socket]] = {}
    with selectors.DefaultSelector() as selector:
        selector.register(orders, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is not orders:
                    pid, end = running.pop(key.fd)
                    selector.unregister(key.fd)
                    os.close(key.fd)
                    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                    with end:
                        _tell(end, code)
                    continue
                message, descriptors, _, _ = socket.recv_fds(orders, _MOST_BYTES, 4)
                if not message:
                    return None
                *streams, end_number = descriptors
                end = socket.socket(fileno=end_number)
                pid = os.fork()
                if pid == 0:
                    for number, stream in enumerate(streams):
                        os.dup2(stream, number)
                    for descriptor in (*streams, *running):
                        os.close(descriptor)
                    for other in (orders, end, *(one for _, one in running.values())):
                        other.close()
                    order: Mapping[str, Any] = json.loads(message)
                    return order
                for stream in streams:
                    os.close(stream)
                _tell(end, pid)
                running[watched := os.pidfd_open(pid)] = pid, end
                selector.register(watched, selectors.EVENT_READ)


def _tell(end: socket.socket, number: int) -> None:
    try:
        end.send(number.to_bytes(_STATUS, "big", signed=True))
    except OSError:  # the one that started it has ended
        return


def _become(arguments: Sequence[str], directory: str, environment: Mapping[str, str]) -> None:
    """Go on as a new interpreter would begin."""
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    sys.stdin = open(0)  # noqa: SIM115
    sys.stdout = open(1, "w")  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace")  # noqa: SIM115
    sys.path[0] = directory
    _, kind, program, *words = arguments
    sys.argv = [kind, *words]
    gc.enable()
    if kind == "-m":
        runpy.run_module(program, run_name="__main__", alter_sys=True)
    else:
        exec(program, {"__name__": "__main__"})  # noqa: S102


def _exit(code: int) -> NoReturn:
    """As the interpreter ends, but for taking all that was imported apart: that would copy it all first."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def main() -> None:
    orders = socket.socket(fileno=int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it ends with the tests
    _import_all()
    gc.collect()
    gc.freeze()
    order = _fork(orders)
    if order is not None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        code = 0
        try:
            _become(**order)
        except SystemExit as end:
            if not isinstance(end.code, int):
                raise
            code = end.code
        _exit(code)


if __name__ == "__main__":
    main()
