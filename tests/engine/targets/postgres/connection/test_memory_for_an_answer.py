"""An answer that does not fit into memory."""

from __future__ import annotations

import socket

import pytest

from engine.targets.postgres.connection.bounded import LARGEST_MESSAGE, AnswerError, Budget


def test_an_answer_that_takes_too_much_memory_while_it_is_read_is_too_long() -> None:
    one, other = socket.socketpair()
    with one, other, pytest.raises(AnswerError, match="longer than"), Budget().reading(one.fileno()):
        bytearray(4 * LARGEST_MESSAGE)
