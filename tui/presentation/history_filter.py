"""What to look for in the history, in words: `target:sales status:failed op:vacuum since:7d disk full`. Pure.

The filter line of the console and the words of `dbtend history` are read by this one grammar. A word with a known
name and a colon says which target, status, operation or dates; everything else is text that an error or a reason
contains.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from engine import HistoryFilter, JobOutcome, Operation
from engine.domain.errors import UsageError
from engine.domain.frozen import frozen
from engine.domain.spelling import closest
from tui.presentation import typed_values

DATES: Final = "a date such as 2026-11-24, or an age such as 30m, 12h, 7d, 2w"
KNOWN: Final[Mapping[str, str]] = {
    "target": "a part of its name",
    "status": ", ".join(JobOutcome),
    "op": ", ".join(Operation),
    "batch": "its id, such as b17 or 17",
    "schedule": "its name",
    "since": DATES,
    "until": DATES,
}
"""The names that words may have, and what may follow."""
_WORD: Final = re.compile(r'(?:[^\s"]+|"[^"]*"?)+')
_NAMED: Final = re.compile(r"([a-z]+):(.*)", re.DOTALL)


@frozen
class Word:
    text: str
    quoted: bool = False
    """Then it is text, whatever it looks like."""
    at: int = 0
    """Where in the line it begins, quotes included."""


def words_of(line: str) -> list[Word]:
    """The words of a line: separated by blanks, save between double quotes; the last of these may be missing."""
    found = [Word(it[0].replace('"', ""), it[0].startswith('"'), it.start()) for it in _WORD.finditer(line)]
    return [word for word in found if word.text]


def history_filter(words: Iterable[Word], *, called: Callable[[str], frozenset[str]], now: datetime) -> HistoryFilter:
    """The filter for these words. Raises UsageError, which names the wrong word and the known values.

    `called`: the canonical URLs of the targets that the user calls by a name with this part.
    """
    given: dict[str, Any] = {}
    texts: list[str] = []
    for word in words:
        name, value = _split(word)
        if name is None:
            texts.append(word.text)
            continue
        if name in given:
            raise UsageError(word.text, f"there is another {name}: already", "leave one of them out")
        if not value:
            raise UsageError(word.text, "needs a value", KNOWN[name])
        try:
            given[name] = _value(name, value, now)
        except UsageError as error:
            raise UsageError(word.text, error.why, error.hint) from None
    part = given.get("target")
    return HistoryFilter(
        target_part=part,
        named_targets=called(part) if part else frozenset(),
        status=given.get("status"),
        operation=given.get("op"),
        batch=given.get("batch"),
        schedule=given.get("schedule"),
        since=given.get("since"),
        until=given.get("until"),
        error_words=tuple(texts),
    )


def if_not_found(words: Iterable[Word], called: Callable[[str], frozenset[str]]) -> str:
    """What to say of words that were looked for as text, and not found: what may be meant, or which names there are."""
    named = [(_kind(word.text, called), word.text) for word in words if not word.quoted]
    meant = " ".join(f"{kind}:{text}" for kind, text in named if kind)
    known = ", ".join(f"{name}:" for name in KNOWN)
    return f"Plain words search error texts. {f'Did you mean {meant}?' if meant else f'Others begin with {known}.'}"


def _kind(text: str, called: Callable[[str], frozenset[str]]) -> str:
    if text.lower() in list(JobOutcome):
        return "status"
    if text.lower() in list(Operation):
        return "op"
    return "target" if called(text) else ""


def unfinished(line: str) -> str:
    """The completions of the last word of a line, such as `sta` or `status:fai`; "" if there are none.

    While it is typed such a word is neither text nor wrong.
    """
    words = words_of(line)
    if not words or words[-1].quoted or line[-1:].isspace():
        return ""
    name, colon, value = words[-1].text.partition(":")
    if not colon:
        return "  ".join(f"{known}: {KNOWN[known]}" for known in KNOWN if known.startswith(name))
    choices: list[str] = [*JobOutcome] if name == "status" else [*Operation] if name == "op" else []
    begins = value.lower() not in choices and any(choice.startswith(value.lower()) for choice in choices)
    if name == "batch":
        begins = value.lower() == "b"
    if name in {"since", "until"}:
        begins = re.fullmatch(r"[-0-9T:]+", value) is not None and not _is_date(value)
    return f"{name}: {KNOWN[name]}" if name in KNOWN and (not value or begins) else ""


def _is_date(typed: str) -> bool:
    try:
        typed_values.since(typed)
    except UsageError:
        return False
    return True


def _split(word: Word) -> tuple[str | None, str]:
    """Name and value; no name where the word is text. Raises UsageError where a name is nearly one that is known."""
    named = None if word.quoted else _NAMED.fullmatch(word.text)
    if named is None:
        return None, ""
    name = "op" if named[1] == "operation" else named[1]
    if name not in KNOWN:
        close = closest(name, KNOWN)
        if close:
            hint = f'did you mean {close}:? For text write "{word.text}"'
            raise UsageError(word.text, f"{name}: is nothing to look for", hint)
        return None, ""
    return name, named[2]


def _value(name: str, typed: str, now: datetime) -> Any:
    match name:
        case "status":
            return typed_values.status(typed.lower())
        case "op":
            return typed_values.operation(typed.lower())
        case "batch":
            return typed_values.batch_number(typed)
        case "since":
            return typed_values.since(typed, now)
        case "until":
            return typed_values.until(typed, now)
    return typed
