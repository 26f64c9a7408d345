"""Passwords in the wrong place: told apart, and never repeated."""

from __future__ import annotations

import os
import re
from typing import Final

from engine.domain import typed_passwords

_PASSWORD: Final = re.compile(r"(password\s*=\s*)('(?:[^'\\]|\\.)*'|[^\s&]+)", re.IGNORECASE)
# One slash, too: as a path a URL loses the other.
_USER_INFO: Final = re.compile(r"(\w:/{1,2}[^:/@\s]*):\S*@")
_QUOTED_USER_INFO: Final = re.compile(r"""(["']\w+:/{1,2}[^:/@"']*):[^"'\n]*@""")
_CONNECTION: Final = re.compile(
    r"\s*(?:service|host|hostaddr|port|dbname|user|password|passfile|sslmode)\s*=.*|\w+://\S*\?.*", re.DOTALL
)
_SETTING: Final = re.compile(r"\b(?:ssl)?password\s*=\s*\S", re.IGNORECASE)
MIN_SECRET_LENGTH: Final = 4
"""Characters that a secret has at least: a shorter one is in every other word, and gives nothing away there."""


def masked(text: str) -> str:
    """A text from elsewhere without what may be a password: in a URL, as a setting, or known to this process."""
    text = without_credentials(text)
    for secret in filter(None, (os.environ.get("PGPASSWORD"), *typed_passwords.typed().values())):
        if len(secret) >= MIN_SECRET_LENGTH:
            text = text.replace(secret, "***")
    return text


def without_credentials(text: str) -> str:
    """The text without a password in a URL or as a setting.

    For our own sentences: to mask a known password there, which may be a word of theirs, would give it away.
    """
    if "password" not in text.lower() and ":/" not in text:
        return text
    return _USER_INFO.sub(r"\1:***@", _QUOTED_USER_INFO.sub(r"\1:***@", _PASSWORD.sub(r"\1***", text)))


def holds_password(word: str) -> bool:
    """Whether a word of a command line names a database with its password."""
    value = word.partition("=")[2] if word.startswith("-") else word
    if _USER_INFO.search(value):
        return True
    return _CONNECTION.fullmatch(value) is not None and _SETTING.search(value) is not None
