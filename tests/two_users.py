"""A second, hostile user on this machine: `nobody`; the tests run as root."""

from __future__ import annotations

import os
import shutil
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

NOBODY: Final = 65534

needs_root = pytest.mark.skipif(
    os.geteuid() != 0 and not os.environ.get("CI"), reason="only root can act as another user"
)


def as_nobody(work: Callable[[], object]) -> None:
    """Run `work` in a process of `nobody`, to its end."""
    process = os.fork()
    if process == 0:
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            work()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(process, 0)
    assert status == 0, "nobody failed"


@contextmanager
def shared_directory(mode: int = 0o777) -> Iterator[Path]:
    """A directory with this mode that every user can reach."""
    directory = Path(tempfile.mkdtemp(prefix="dbtend-shared-"))
    directory.chmod(mode)
    try:
        yield directory
    finally:
        shutil.rmtree(directory)
