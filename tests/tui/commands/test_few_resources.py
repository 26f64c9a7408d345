"""Few descriptors, little memory, no home, no streams: a sentence, and the exit code of the contract."""

from __future__ import annotations

import errno

import pytest

from engine.domain.errors import ErrorKind, SystemLimitError


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.EMFILE, "Too many open files"), "the system: it refuses: Too many open files (raise the limit"),
        (OSError(errno.ENAMETOOLONG, "File name too long", "/srv/x"), "/srv/x: File name too long (give a shorter"),
        (MemoryError(), "memory: there is not enough of it"),
        (RecursionError("maximum"), "input: it nests too deeply"),
        (RuntimeError("can't start new thread"), "the system: it starts no more threads"),
    ],
)
def test_what_the_system_refuses_is_no_defect(error: Exception, said: str) -> None:
    problem = SystemLimitError.of(error)
    assert problem is not None
    assert (problem.kind, str(problem).startswith(said)) == (ErrorKind.SYSTEM, True)


def test_a_defect_is_one() -> None:
    assert SystemLimitError.of(RuntimeError("dictionary changed size")) is None
    assert SystemLimitError.of(KeyError("x")) is None
