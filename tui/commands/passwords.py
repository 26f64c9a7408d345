"""Asks for missing passwords of servers at the terminal, without echo, and keeps them in memory only."""

from __future__ import annotations

import asyncio
import getpass
import sys
import warnings
from collections.abc import Iterable
from typing import Final

from engine.domain import typed_passwords
from engine.inspection import inspector
from tui.commands import output
from tui.presentation.text import plain

TRIES: Final = 3


def ask_for_missing(targets: Iterable[str]) -> None:
    """On a terminal, ask for the passwords missing for these targets; elsewhere the command will report it.

    Raises UsageError; TargetError if a server cannot be connected to for another reason; PasswordNeededError if
    every typed password is wrong.
    """
    if sys.stdin is None or not sys.stdin.isatty():
        return
    for target in targets:
        for tries_left in reversed(range(TRIES + 1)):
            problem = asyncio.run(inspector.password_needed(target))
            if problem is None:
                break
            url = inspector.canonical_url(target)
            if tries_left < TRIES:
                output.notice(f"{plain(url)}: {problem.why}")
            typed = _typed(f"Password for {plain(url)}: ") if tries_left else ""
            if not typed:
                raise problem
            typed_passwords.remember(url, typed)


def _typed(prompt: str) -> str:
    """The text typed without echo; empty if the terminal cannot hide it, or if no text is entered."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", getpass.GetPassWarning)
        try:
            return getpass.getpass(prompt)
        except (EOFError, getpass.GetPassWarning):
            return ""
