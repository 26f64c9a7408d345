"""What is seen of a server on this machine, by the socket of a connection to it."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time

import pytest

from engine.system.local_servers import milliseconds_of_thread, process_of_server

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")


def test_the_process_at_the_other_end_of_a_unix_socket_is_known_and_none_of_a_port() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert process_of_server(ours) == os.getpid()
    assert process_of_server(ours) is None
    with socket.socket() as by_port:
        assert process_of_server(by_port) is None


def test_the_time_of_a_thread_on_a_processor_grows_while_it_works() -> None:
    thread = threading.get_native_id()
    before = milliseconds_of_thread(os.getpid(), thread)
    assert before is not None
    until = time.thread_time() + 0.05
    while time.thread_time() < until:
        pass
    assert (milliseconds_of_thread(os.getpid(), thread) or 0) > before


def test_a_thread_of_another_process_is_not_seen() -> None:
    assert milliseconds_of_thread(os.getppid(), threading.get_native_id()) is None
