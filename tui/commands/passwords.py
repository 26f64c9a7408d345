"""Passwords that servers ask for and nobody has: asked for at the terminal without echo, and kept in memory only."""

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
    """Where there is a terminal, ask for what is missing to connect to each of these; else the command will say it.

    Raises UsageError, TargetError where a server cannot be connected to for another reason; PasswordNeededError where
    none of what was typed is right.
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
    """What is typed, without echo; nothing where that cannot be had without echo, or nobody wants to say it."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", getpass.GetPassWarning)
        try:
            return getpass.getpass(prompt)
        except (EOFError, getpass.GetPassWarning):
            return ""
