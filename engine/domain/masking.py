"""Finds passwords in text, and masks them."""

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
"""The least length of a masked secret: shorter ones occur in ordinary words."""


def masked(text: str) -> str:
    """Untrusted text with passwords masked: in URLs, in settings, and those known to this process."""
    text = without_credentials(text)
    for secret in filter(None, (os.environ.get("PGPASSWORD"), *typed_passwords.typed().values())):
        if len(secret) >= MIN_SECRET_LENGTH:
            text = text.replace(secret, "***")
    return text


def without_credentials(text: str) -> str:
    """The text with passwords in URLs and settings masked.

    For messages of dbtend: masking a known password there could reveal that a word is one.
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
