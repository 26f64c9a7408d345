"""Where the commands write: stdout for the result, stderr for what a person should know besides."""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from typing import Any

from engine.errors import DbtendError
from engine.masking import masked
from tui.text import plain

lost = False
"""Whether a result could not be written, other than to a reader that went away."""


def line(text: str = "") -> None:
    """One line of the result, there at once for whoever reads the pipe."""
    write(text + "\n")


def write(text: str) -> None:
    """A reader that has gone away, or a full disk, is no reason to stop what is running: the rest goes nowhere."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            global lost
            lost = True
            notice(f"output: cannot be written: {error.strerror}")


def let_go() -> None:
    """To be called last. What a reader or a terminal that is gone has not taken goes nowhere: the exit code stands."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # Python itself flushes once more


def document(form: dict[str, Any]) -> None:
    line(json.dumps(form, ensure_ascii=False, indent=2))


def notice(text: str) -> None:
    with suppress(OSError):  # stderr may be gone, and with it whoever could be told
        print(f"dbtend: {text}", file=sys.stderr, flush=True)


def traceback() -> None:
    """Of the exception that is handled now."""
    import traceback  # only --debug asks for it

    with suppress(OSError):
        for text in masked(traceback.format_exc()).splitlines():
            print(plain(text), file=sys.stderr, flush=True)


def error(problem: DbtendError, *, as_json: bool) -> None:
    notice(plain(str(problem)))
    if as_json:
        from tui import json_form  # the forms of all documents, of which the console shows none

        document(json_form.error(problem))
