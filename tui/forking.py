"""Child processes that share what this process has imported and keeps in memory."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from contextlib import suppress

FAILED = 1
log = logging.getLogger("dbtend")


def fork(work: Callable[[], int]) -> int:
    """Run `work` in a child, which ends with the exit code that it returns; the child's process id.

    To be called where there is no other thread, and no database is open.
    """
    _flush()
    if pid := os.fork():
        return pid
    code = FAILED
    try:
        code = work()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else FAILED
    except KeyboardInterrupt:
        pass
    except BaseException as error:
        log.error("internal error: %s: %s", type(error).__name__, error)
    finally:
        _flush()
        os._exit(code)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
