"""Delivers one message: `python -m engine.notify.sending`, with the order as a line of JSON on standard input.

Prints each of several services that takes it, at once, and then the result: each is a line of JSON. It ends with its
process group when standard input ends: the process that started it is gone, and another one delivers the message.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Mapping
from importlib import import_module
from typing import NoReturn

from engine.domain.humanize import counted
from engine.domain.notifications import Method
from engine.notify.sending.order import DeliveryError, Order, Result

_printing = threading.Lock()
_MODULES = {
    Method.COMMAND: "send_command",
    Method.WEBHOOK: "send_webhook",
    Method.EMAIL: "send_email",
    Method.APPRISE: "send_apprise",
}


def main() -> None:
    order = Order.from_json(json.loads(sys.stdin.buffer.readline()), _tell_done)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    limit = threading.Timer(order.timeout, _give_up, [order])
    limit.daemon = True
    limit.start()
    _end(_sent(order))


def _give_up(order: Order) -> None:
    """The limit is for all of it, however a server drips or a program hangs."""
    _end(Result(f"{order.waits_for} takes longer than {counted(round(order.timeout), 'second')}"))


def _end(result: Result) -> NoReturn:
    """The first result holds; a thread of a library, and what a program left behind, keep nothing up."""
    _printing.acquire()
    _print({"error": result.error, "refused": result.refused})
    os._exit(0)


def _tell_done(service: str) -> None:
    with _printing:
        _print({"done": service})


def _print(said: Mapping[str, str | None]) -> None:
    sys.stdout.write(f"{json.dumps(said)}\n")
    sys.stdout.flush()


def _sent(order: Order) -> Result:
    try:
        return import_module(f"engine.notify.sending.{_MODULES[order.method]}").send(order)  # type: ignore[no-any-return]
    except ModuleNotFoundError as error:
        hint = "pip install '.[notify]' in the directory of its source"
        return Result(f"{error.name} is not installed: {hint}")
    except DeliveryError as error:
        return Result(order.without_secrets(str(error)))
    except Exception as error:
        return Result(order.without_secrets(f"{type(error).__name__}: {error}"))


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
