"""Where the commands write: stdout for the result, stderr for what a person should know besides."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sys
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from engine.domain.errors import DbtendError
from engine.domain.lazy_import import lazy
from engine.domain.masking import masked, without_credentials
from tui.presentation.text import plain, plain_lines

if TYPE_CHECKING:
    from tui.presentation import json_format
else:
    json_format = lazy("tui.presentation.json_format", "only --json needs it")

ends_with_reader = False
"""Whether nothing is left to do once the reader of the result has gone."""
lost = False
"""Whether a result could not be written, other than to a reader that went away."""


def line(text: str = "") -> None:
    """Print one or several lines of the result at once, so that a pipe gets them. Terminal controls are escaped, and no
    blanks follow a text: those of a table would be as many as its longest cell has letters."""
    write("\n".join(one.rstrip(" ") for one in plain_lines(text).split("\n")) + "\n")


def write(text: str) -> None:
    """What may be for a terminal to obey.

    If the reader has gone away, a command that only tells ends as any filter does. Else, and if the disk is full,
    running jobs go on: the rest of the output is dropped."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        if ends_with_reader and isinstance(error, BrokenPipeError):
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            signal.raise_signal(signal.SIGPIPE)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            global lost
            lost = True
            notice(f"output: cannot be written: {error.strerror}")


def terminal_width() -> int | None:
    """The cells of a line; None where standard output is no terminal, and COLUMNS is not set."""
    if not sys.stdout.isatty() and "COLUMNS" not in os.environ:
        return None
    return shutil.get_terminal_size().columns


def let_go() -> None:
    """Flush the output; call this last.

    What a reader or a terminal that is gone has not taken goes nowhere: the exit code stands.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # Python itself flushes once more


def document(form: dict[str, Any]) -> None:
    r"""What a terminal might obey is there as an escape of JSON: the value is the same. Half of a surrogate pair, which
    stands for a byte that is no UTF-8, is no Unicode text: it becomes the letters `\udcff`, as `plain` shows it."""
    text = json.dumps(form, ensure_ascii=False, indent=2)
    write(_NOT_SHOWN.sub(lambda found: _escaped(found[0]), text) + "\n")


_NOT_SHOWN: Final = re.compile(r"[^\n -~]+")
"""All that might not be printable: letters of other languages are looked at one by one."""


def _escaped(text: str) -> str:
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def _escape(char: str) -> str:
    escape = json.dumps(char)[1:-1]
    is_half_pair = "\ud800" <= char <= "\udfff"
    return f"\\{escape}" if is_half_pair else escape


def notice(*texts: str) -> None:
    with suppress(OSError):  # stderr may be gone, and with it the reader
        for text in texts:
            print(f"dbtend: {without_credentials(plain_lines(text))}", file=sys.stderr, flush=True)


def reaches_a_person() -> bool:
    """Whether notices go to a terminal, and are not mailed by cron."""
    return sys.stderr is not None and sys.stderr.isatty()


def remark(text: str) -> None:
    """What a person may like to know although all is well."""
    if reaches_a_person():
        notice(text)


def print_traceback() -> None:
    with suppress(OSError):
        for text in masked(traceback.format_exc()).splitlines():
            print(plain(text), file=sys.stderr, flush=True)


def error(problem: DbtendError, *, as_json: bool) -> None:
    notice(plain(str(problem)))
    if as_json:
        document(json_format.error(problem))
