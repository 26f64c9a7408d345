"""A config that is no file, endless, or absurd gives one error, at once."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tui.command_line import CommandLine

ODD: dict[str, tuple[Callable[[Path], object], str]] = {
    "fifo": (os.mkfifo, "cannot be read: It is not a regular file"),
    "directory": (Path.mkdir, "cannot be read: Is a directory"),
    "endless": (lambda path: path.symlink_to("/dev/zero"), "cannot be read: It is not a regular file"),
    "loop": (lambda path: path.symlink_to(path.name), "cannot be read: Too many levels of symbolic links"),
    "huge": (lambda path: path.write_bytes(b"# more\n" * 1_000_000), "cannot be read: It is larger than 2.00 MB"),
    "bytes": (lambda path: path.write_bytes(b"\xff\xfe"), "is not UTF-8 text"),
    "arrays": (lambda path: path.write_text("a = " + "[" * 50_000), "nests too deeply"),
    "tables": (lambda path: path.write_text("a = " + "{a=" * 50_000), "nests too deeply"),
    "digits": (lambda path: path.write_text("a = " + "9" * 5_000), "line 1: Exceeds the limit"),
    "long": (
        lambda path: path.write_text("".join(f'[targets.t{n}]\nurl = "{n}"\n' for n in range(2_000)) + "x = 1"),
        "line 4001: targets.t1999.x is an unknown key",
    ),
    "text": (lambda path: path.write_text('x = """\n' + "line\n" * 9_000 + '"""\n'), "line 1: x is an unknown key"),
    "name": (lambda path: path.write_text(f'["{"n" * 90_000}"]'), f"line 1: {'n' * 100}... is an unknown key"),
}


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("command", ["plan x.db", "doctor", "history target:x"])
def test_it_is_a_sentence(odd: str, command: str, dbtend: CommandLine) -> None:
    make, said = ODD[odd]
    config = dbtend.home / "config.toml"
    dbtend.home.mkdir()
    make(config)
    result = dbtend(*command.split(), "--config", config)
    if command == "doctor":
        assert result.code == 1
        assert said in result.out
    else:
        assert result.code == 2
        assert result.err.startswith(f"dbtend: {config}")
        assert said in result.err
        assert len(result.err) < 1000
