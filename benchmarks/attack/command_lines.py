"""Command lines of words that nobody would type: odd, hostile, far too long."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from benchmarks.attack.calls import called, faults
from benchmarks.attack.directories import attack_directory
from tests.sqlite_files import make_database
from tui.commands.arguments import COMMANDS, parser_of

WORDS: Final = (
    "", " ", "-", "--", "---", "=", "--=", "1", "0", "-1", "42.2", "1.1", "1.99", "9" * 18, "9" * 40, "1e9", "nan",
    "inf", "-inf", "0x1", "1.5", "\x1b[2J", "a\u202eb", "a\nb", "\t", "é" * 300, "x" * 300, "x" * 100_000, "\udcff",
    "../..", "/", ".", "/dev/null", "/dev/zero", "/dev/full", "/proc/self/mem", "sqlite:", "sqlite://",
    "sqlite:///", "sqlite:///%00", "sqlite:///x?mode=ro", "file:x", "postgresql://", "postgresql://h:x/d",
    "postgresql://u:secret77@h/d", "host=h password=secret77", "host='", "service=", "mysql://u@h/d", "http://h/",
    "vacuum", "VACUUM", "all", "*", "@eu", "b17", "7d", "1h30m", "99999w", "2026-11-24", "0000-00-00", "24:00", "6:00",
    "25:99", "target:x", "status:failed", "op:vacuum", "since:7d", "x:", ":", "[", "(", "%", "_", "'", '"', "`", ";",
    "continue", "full", "quick", "1kB", "64MB", "99999TB", "true", "{sales}", "{sales}", "{sales}/x", "{text}",
)  # fmt: skip
SLOW: Final = frozenset({"worker", "demo", None})
"""Commands that wait, or build something, where they are not wrong."""


def attack(count: int, seed: int) -> Iterator[str]:
    names = [name for name in COMMANDS if name not in SLOW]
    options = {name: _options_of(name) for name in names}
    with attack_directory() as directory:
        home = Path(directory)
        places = {"sales": make_database(home / "sales.db", rows=100), "text": home / "text.db"}
        places["text"].write_text("no database\n" * 100)
        called(["run", str(places["sales"]), "--op", "analyze"], home)
        for number in range(count):
            dice = random.Random(seed * 1_000_003 + number)
            name = dice.choice(names)
            words = [_word(dice, options[name]) for _ in range(dice.choice((0, 1, 1, 2, 3, 6)))]
            argv = [name, *(word.format(**places) if "{s" in word or "{t" in word else word for word in words)]
            if dice.random() < 0.1:
                dice.shuffle(argv)
            if any("\0" in word for word in argv):
                continue
            shown = [word[:40] for word in argv]
            for fault in faults(argv, called(argv, home), ["secret77"]):
                yield fault if shown == argv else f"{shown}: {fault[-400:]}"
            called(["resume"], home)


def _word(dice: random.Random, options: Sequence[str]) -> str:
    match dice.randrange(3):
        case 0:
            return dice.choice(WORDS)
        case 1:
            return dice.choice(options)
        case _:
            return f"{dice.choice(options)}={dice.choice(WORDS)}"


def _options_of(name: str) -> list[str]:
    actions = parser_of(name)._actions
    return [
        option for action in actions for option in action.option_strings if option not in {"--help", "-h", "--debug"}
    ]
