"""Config files that are damaged, absurd, endless, or no files: every command that reads one."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from benchmarks.attack.calls import called, faults
from benchmarks.attack.directories import attack_directory
from tests.sqlite_files import make_database

COMMANDS: Final = ("doctor", "doctor --json", "plan sales", "history", "run sales --op analyze", "prune --dry-run")

SOUND: Final = """\
# ours
[targets.sales]
url = "{sales}"
label = "PROD"
operations = ["vacuum", "analyze"]
lock_timeout = 2.5

[targets.shop]
url = "postgresql://dba@db1/shop"
schemas = ["public"]
pause_while = "SELECT false"
speed = "gentle"

[defaults]
workers = 2
grace = 30

[console]
theme = "dbtend"
refresh = 0.25
keys = {{ retry = "R" }}

[retention]
completed = "90d"
failed = "forever"
keep_last = 20
"""
TOKENS: Final = (
    "[", "]", "{", "}", '"', "'", '"""', "'''", "=", ".", ",", "#", "\n", "\r", "\0", "\x1b[2J", "\u202e", "\ufeff",
    "true", "inf", "nan", "-1", "0", "1e400", "9" * 5000, "2026-13-45", "25:61:61", "[[targets]]", "\\u0000", "\\ud800",
    "[targets]", "x = 1", "url", "sales", "forever", "0x", "a.b.c", "💥",
    "[" * 5000, "{a=" * 5000, "a." * 3000 + "a = 1",
    "[" + "a." * 3000 + "a]\n", "'" * 9, "label = " + '"' + "x" * 100_000 + '"', "postgresql://u:secret77@h/d",
)  # fmt: skip


def attack(count: int, seed: int, commands: Sequence[str] = COMMANDS) -> Iterator[str]:
    with attack_directory() as directory:
        home = Path(directory)
        sound = SOUND.format(sales=make_database(home / "sales.db", rows=100))
        config = home / "config" / "dbtend" / "config.toml"
        config.parent.mkdir(parents=True)
        for number in range(count):
            dice = random.Random(seed * 1_000_003 + number)
            config.unlink(missing_ok=True)
            if config.is_dir():
                config.rmdir()
            if dice.random() < 0.1:
                how = dice.choice(SPECIAL)
                how(config, sound)
                told = how.__name__
            else:
                text = _mutant(sound, dice)
                config.write_bytes(text)
                told = repr(text[:60])
            for command in commands:
                argv = command.split()
                yield from (f"{told}: {fault}" for fault in faults(argv, called(argv, home), ["secret77"]))
            for remains in home.glob("config/dbtend/*"):
                remains.rmdir() if remains.is_dir() else remains.unlink()


def _mutant(sound: str, dice: random.Random) -> bytes:
    text = sound
    for _ in range(dice.choice((1, 1, 2, 5, 20))):
        at, until = sorted((dice.randrange(len(text) + 1), dice.randrange(len(text) + 1)))
        match dice.randrange(5):
            case 0:
                text = text[:at] + dice.choice(TOKENS) + text[at:]
            case 1:
                text = text[:at] + text[min(until, at + dice.randrange(30)) :]
            case 2:
                text = text[:at] + text[at:until] * dice.choice((2, 3)) + text[until:]
            case 3:
                lines = text.splitlines(keepends=True)
                dice.shuffle(lines)
                text = "".join(lines)
            case _:
                line = dice.choice(text.splitlines() or [""])
                key = line.partition("=")[0]
                text = text.replace(line, f"{key}= {dice.choice(TOKENS)}", 1)
    content = text.encode(errors="surrogatepass")
    if dice.random() < 0.05:
        content = content.replace(b"sales", b"\xff\xfe", 1)
    return content


def _directory(config: Path, _: str) -> None:
    config.mkdir()


def _fifo(config: Path, _: str) -> None:
    os.mkfifo(config)


def _endless(config: Path, _: str) -> None:
    config.symlink_to("/dev/zero")


def _loop(config: Path, _: str) -> None:
    config.symlink_to(config.name)


def _socket(config: Path, _: str) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(config))


def _huge(config: Path, sound: str) -> None:
    config.write_text(sound + "# nothing\n" * 10_000_000)


def _many_targets(config: Path, sound: str) -> None:
    config.write_text(sound + "".join(f'[targets.t{n}]\nurl = "{n}.db"\n' for n in range(3_000)) + "x = 1\n")


def _long_text(config: Path, sound: str) -> None:
    config.write_text(sound + 'x = """\n' + "line\n" * 20_000 + '"""\n')


def _sparse(config: Path, _: str) -> None:
    with config.open("wb") as file:
        file.truncate(1 << 40)


SPECIAL: Final[Sequence[Callable[[Path, str], None]]] = (
    _directory, _fifo, _endless, _loop, _socket, _huge, _many_targets, _long_text, _sparse,
)  # fmt: skip
