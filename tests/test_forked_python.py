from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.forked_python import ForkedPython


def run(code: str, *words: str, **more: object) -> ForkedPython[str]:
    pipe = subprocess.PIPE
    return ForkedPython([sys.executable, "-c", code, *words], stdin=pipe, stdout=pipe, stderr=pipe, text=True, **more)  # type: ignore[call-overload,no-any-return]


def test_it_reads_and_writes_and_ends_with_its_code() -> None:
    with run("import sys; print(input(), sys.argv); print('bad', file=sys.stderr); sys.exit(3)", "a word") as process:
        assert process.communicate("read\n") == ("read ['-c', 'a word']\n", "bad\n")
        assert process.returncode == 3


def test_it_has_its_directory_and_environment(tmp_path: Path) -> None:
    with run("import os; print(os.getcwd(), os.environ)", cwd=tmp_path, env={"TZ": "UTC"}) as process:
        assert process.communicate()[0] == f"{tmp_path} environ({{'TZ': 'UTC'}})\n"


def test_it_is_waited_for_and_killed() -> None:
    with run("input()") as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.01)
        assert process.poll() is None
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait(60) == process.poll() == -signal.SIGKILL


def test_an_interrupt_and_an_error_end_it_as_they_end_python() -> None:
    # Not with input(): a signal that comes just before it reads is noticed only once it has read.
    with run("print('there', flush=True)\nwhile True: pass") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "there\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == -signal.SIGINT
    with run("raise LookupError('a reason')") as process:
        assert process.communicate()[1].endswith("LookupError: a reason\n")
        assert process.returncode == 1


def test_its_threads_and_what_is_left_to_the_exit_are_waited_for() -> None:
    code = "import atexit, threading; atexit.register(print, 'last'); threading.Thread(target=print, args='1').start()"
    with run(code) as process:
        assert process.communicate() == ("1\nlast\n", "")


def test_it_holds_nothing_open_of_its_parent_or_of_another_one() -> None:
    with run("input()") as other, run("import os; print(*sorted(os.listdir('/proc/self/fd')))") as process:
        assert process.communicate()[0] == "0 1 2 3\n"  # the last is that of the directory
        other.communicate("\n")
