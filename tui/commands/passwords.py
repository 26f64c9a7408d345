"""Asks for missing passwords of servers at the terminal, without echo, and keeps them in memory only."""

from __future__ import annotations

import asyncio
import getpass
import sys
import warnings
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Final

from engine.domain import typed_passwords
from engine.domain.errors import PasswordNeededError
from engine.inspection import inspector
from tui.commands import output
from tui.commands.run_async import run_async
from tui.presentation.text import plain

TRIES: Final = 3
_asked: Final = Counter[str]()
"""How often each server was asked about."""


def ask_for_missing(targets: Collection[str]) -> None:
    """On a terminal, ask for the passwords missing for these targets; elsewhere the command will report it.

    Each server is asked once, for all its databases. Raises PasswordNeededError if every typed password is
    wrong. For one target also raises UsageError, and TargetError if it cannot be connected to for another reason.
    """
    if not _is_terminal():
        return
    servers = {typed_passwords.server_of(inspector.canonical_url(target)): target for target in targets}
    while missing := run_async(_missing(list(servers.values()), several=len(targets) > 1)):
        for problem in missing:
            if not ask(problem):
                raise problem


async def _missing(targets: Sequence[str], *, several: bool) -> list[PasswordNeededError]:
    found = await asyncio.gather(*map(inspector.password_needed, targets), return_exceptions=several)
    return [problem for problem in found if isinstance(problem, PasswordNeededError)]


def ask(problem: PasswordNeededError) -> bool:
    """Ask for a password at the terminal; whether one was typed, in at most `TRIES` tries for each server."""
    server = typed_passwords.server_of(problem.what)
    _asked[server] += 1
    if not _is_terminal() or _asked[server] > TRIES:
        return False
    if _asked[server] > 1:
        output.notice(f"{plain(problem.what)}: {problem.why}")
    typed = _typed(f"Password for {plain(problem.what)}: ")
    typed_passwords.remember(problem.what, typed)
    return bool(typed)


def _is_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()


def _typed(prompt: str) -> str:
    """The text typed without echo; empty if the terminal cannot hide it, or if no text is entered."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", getpass.GetPassWarning)
        try:
            return getpass.getpass(prompt)
        except (EOFError, getpass.GetPassWarning):
            return ""
