"""What differs from run to run, or from machine to machine, by its nature, replaced by a word."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

_DAY: Final = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) \d+ \w{3}(?: \d{4})?"
_LIMITS: Final = "".join(rf"(?<!{word})(?<!{word} )" for word in ("timeout", "within", "most", "than"))


def _without_padding(word: str) -> Callable[[re.Match[str]], str]:
    """A column is as wide as its longest value."""
    return lambda found: f"{found[1][:2]}{word}{found[2][:2]}"


def _with_names_sorted(found: re.Match[str]) -> str:
    """What was measured: the server answers first, or the command ends first."""
    lines = found[0].splitlines()
    names = sorted(line.removesuffix(",") for line in lines)
    return ",\n".join(names) + ("," if lines[-1].endswith(",") else "") + "\n"


_RULES: Final[tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...]] = (
    # When: the clock.
    (r"()\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?Z?( *)", _without_padding("TIME")),
    (r"\b\d{4}-\d\d-\d\d\b", "DAY"),
    (rf"()\b{_DAY} \d\d:\d\d( *)", _without_padding("DAY")),
    (r"\b(CREATED|NEXT DUE|LAST|TOOK|SINCE) {2,}", r"\1  "),
    # How long: the machine. Time limits stay.
    (r"^ +0 (?:ms|s|min) .*\n(?:. \.\d+ .*\n)+(?:▆.*\n)?", "CHART\n"),
    (r"^ +\d\d:\d\d\b.*\n(?:· .*\n)+.*by estimate\n", "CHART\n"),
    (r"<svg[^>]*>[\s\S]*?</svg>", "CHART"),
    (r"\b(?:less than|about) [\d.]+ (?:ms|s|min)\b", "about N s"),
    (rf"{_LIMITS}( *)(?<![\d.,])\d[\d.,]* (?:ms|s|min)\b(?: \d+ (?:ms|s)\b)?( *)", _without_padding("N s")),
    (r'("(?:duration|estimate|expected)": )\d[\d.e-]*', r"\1N"),
    (r"(TIME,TIME,TIME,)\d+\.\d+", r"\1N"),
    (r"^(dbtend_\w*_seconds(?:\{.*\})?) .*", r"\1 N"),
    (r"^#\S+ \S+ \S+: waiting for .*\n", ""),  # told after a moment
    (r"^ *\d+ % of the sample is made\n", ""),  # told every few seconds
    (r"\b(connection) \d+ \((.*?), idle for \d+s\)", r"\1 N (\2, idle for N s)"),
    (r"^ok +estimates .*", "ok       estimates    N"),  # of the operation that was guessed worst
    (r"\b\d+ transactions? to purge", "N transactions to purge"),
    (r'("history": )\d+', r"\1N"),
    (r"(\d+ changes), [\d.]+ MB", r"\1, N MB"),
    # In what order: two are surveyed at once.
    (r"(?:^dbtend_target_level.*\n)+", lambda found: "".join(sorted(found[0].splitlines(keepends=True)))),
    (r'(?<="after": \{\n)(?: +"\w+": [^\[{\n]+\n)+', _with_names_sorted),
    # Which process, file, server, store: numbers that others give.
    (r'("(?:pid|pool)": )\d+', r"\1N"),
    (r"(id IN) \([\d, ]+\)", r"\1 (N)"),
    (r"\b(pool|pid|process|worker) \d+(?: \(.*?\))?", r"\1 N"),
    (r'(?<=for its lock: )[^";<\n]+', "HOLDER"),  # who it is may be known too late
    (r"^PID +POOL +HOST +", "PID  POOL  HOST  "),
    (r"^\d+ +\d+ +\S+ +(?=.*TIME)", "N    N     HOST  "),
    (r"\bsqlite:[0-9a-f]+:[0-9a-f]+", "sqlite:FILE"),
    (r"\b[0-9a-f]{32}\b", "HASH"),
    (r"\b[0-9a-f]{8} (\d+\.\d+/\d+)", r"STORE \1"),
    (r"\bdbtend-demo-\w+", "dbtend-demo-N"),
    # Where: the machine.
    (r'("host": )"(?!recorder).*?"', r'\1"HOST"'),
    (r"\bdbtend report of [\w.-]+", "dbtend report of HOST"),
    (r"[\d.]+ [kMGT]?B(?= (?:free|available))", "N GB"),
    (r'("disk_free": )\d+', r"\1N"),
    (r"^(ok +(?:python|apsw|psycopg|pymysql|duckdb|textual) +)(\D*)\d+[\d.]*", r"\1\2VERSION"),
    (r"[^\s=]+/python -P -m tui.cli", "dbtend"),
)
RULES: Final = tuple((re.compile(pattern, re.MULTILINE), word) for pattern, word in _RULES)


def normalised(text: str) -> str:
    for pattern, word in RULES:
        text = pattern.sub(word, text)
    return text
