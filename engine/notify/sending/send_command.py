"""Delivery by a program: it gets the message on standard input, and takes it if it ends with 0."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from typing import Final

from engine.notify.sending.order import DeliveryError, Order, Result, require_private_program

_END: Final = 1_000
"""Bytes at the end of its errors that are read."""


def send(order: Order) -> Result:
    """Raises DeliveryError."""
    command = order.settings["command"]
    order.waits_for = command[0]
    require_private_program(command)
    given = json.dumps(order.document, indent=2) if order.settings["json"] else order.text
    environment = {**os.environ, "DBTEND_SUBJECT": order.subject, "DBTEND_MESSAGE": order.key}
    with tempfile.TemporaryFile() as errors:  # what a pipe stays open for may go on in the background
        try:
            done = subprocess.run(
                command,
                input=given.encode("utf-8", "backslashreplace"),
                stdout=subprocess.DEVNULL,
                stderr=errors,
                check=False,
                env=environment,
            )
        except OSError as error:
            raise DeliveryError(f"{command[0]} cannot be started: {error.strerror}") from None
        errors.seek(max(errors.seek(0, os.SEEK_END) - _END, 0))
        said = errors.read(_END).decode("utf-8", "backslashreplace").strip().rpartition("\n")[2]
    if done.returncode:
        how = f"exit code {done.returncode}" if done.returncode > 0 else f"signal {-done.returncode}"
        raise DeliveryError(f"{command[0]} ended with {how}" + (f": {said}" if said else ""))
    return Result()
