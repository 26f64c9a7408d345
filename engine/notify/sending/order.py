"""What the sending process is asked to do, and how it reads secrets."""

from __future__ import annotations

import base64
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from engine.domain.notifications import Method, Secret
from engine.system.private_files import ExposedError, program_exposure, read_private

_MOST_BYTES: Final = 65_536
"""The most bytes of a file or an answer with a secret."""
_MOST_TEXT: Final = 500
"""Characters of an error."""
_LEAST: Final = 4
"""Characters of a secret that is masked inside of words, too: shorter ones occur in ordinary ones."""


class DeliveryError(Exception):
    """Why a message was not taken."""


@dataclass(frozen=True, slots=True)
class Result:
    error: str | None = None
    refused: str | None = None


@dataclass(slots=True, kw_only=True)
class Order:
    """One message and its destination."""

    method: Method
    key: str
    """Names the message for good: a receiver that knows it need not take it twice."""
    subject: str
    text: str
    document: Mapping[str, Any]
    settings: Mapping[str, Any]
    """The fields of the recipient."""
    done: tuple[str, ...] = ()
    """The services that have it."""
    tell_done: Callable[[str], None]
    """Tells the process that wanted it at once which service has taken it."""
    timeout: float = 30.0
    waits_for: str = ""
    """The server or program that it waits for now."""
    _secrets: list[str] = field(default_factory=list)
    """The secrets that were read."""

    @classmethod
    def from_json(cls, given: Mapping[str, Any], tell_done: Callable[[str], None]) -> Self:
        return cls(
            method=Method(given["method"]),
            key=given["key"],
            subject=given["subject"],
            text=given["text"],
            document=given["document"],
            settings=given["settings"],
            done=tuple(given["done"]),
            tell_done=tell_done,
            timeout=given["timeout"],
        )

    def secret(self, name: str) -> str | None:
        """The secret that is in a file, or that a program prints; None if there is none. Raises DeliveryError."""
        if self.settings[name] is None:
            return None
        secret = Secret(self.settings[name]["file"], tuple(self.settings[name]["command"]))
        self.waits_for = _source(secret)
        found = _read(secret)
        for word in found.split():
            self._secrets += [word, *_parts_of_url(word)]
        self._secrets.append(found)
        return found

    def without_secrets(self, text: str) -> str:
        """The text of an error, in which a receiver may have repeated a secret."""
        for secret in sorted(filter(None, self._secrets), key=len, reverse=True):
            for form in _forms(secret):
                if len(form) >= _LEAST:
                    text = text.replace(form, "***")
                else:
                    text = re.sub(rf"(?<![A-Za-z0-9*]){re.escape(form)}(?![A-Za-z0-9*])", "***", text)
        text = " ".join(text.split())
        return text if len(text) <= _MOST_TEXT else f"{text[:_MOST_TEXT]}..."


def host_and_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _parts_of_url(word: str) -> Iterator[str]:
    """What a receiver repeats of a secret URL: its path and query, whole and in pieces, but for what its host has, too.

    Only of http and https the host is no secret: errors name it.
    """
    try:
        url = urlsplit(word)
    except ValueError:
        return
    if not url.scheme or not url.netloc:
        return
    yield url.path
    yield url.query
    user_info, _, place = url.netloc.rpartition("@")
    host = place if url.scheme in {"http", "https"} else ""
    pieces = [*url.path.split("/"), *url.query.split("&"), *(value for _, value in parse_qsl(url.query)), url.fragment]
    pieces += user_info.split(":")
    pieces += [] if host else place.split(":")
    yield from (piece for piece in pieces if piece and piece.lower() not in host.lower())


def _forms(secret: str) -> Iterator[str]:
    """A secret as receivers write it: also encoded, decoded, and in JSON whose slashes are escaped."""
    yield from (secret, secret.replace("/", "\\/"), quote(secret, safe=""), quote(secret), unquote(secret))
    yield base64.b64encode(secret.encode()).decode()


def _read(secret: Secret) -> str:
    found = _file(secret.file) if secret.file is not None else _printed(secret.command)
    try:
        text = found.decode().strip()
    except UnicodeDecodeError:
        raise DeliveryError(f"{_source(secret)} gives no text") from None
    if not text:
        raise DeliveryError(f"{_source(secret)} gives nothing")
    return text


def _file(path: str) -> bytes:
    try:
        return read_private(path, _MOST_BYTES)
    except ExposedError as error:
        raise DeliveryError(f"{error}: {error.exposure.fix}") from None
    except OSError as error:
        raise DeliveryError(f"{path} cannot be read: {error.strerror}") from None


def require_private_program(command: Sequence[str]) -> None:
    """Raise DeliveryError if another user could change what the command runs."""
    try:
        found = program_exposure(command)
    except OSError as error:
        raise DeliveryError(f"{command[0]} cannot be verified: {error.strerror}") from None
    if found is not None:
        raise DeliveryError(f"{found}: {found.fix}")


def _printed(command: tuple[str, ...]) -> bytes:
    """The output of a program. Its errors are dropped: they might hold the secret."""
    what = f"{command[0]}, which is to print a secret,"
    require_private_program(command)
    try:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    except OSError as error:
        raise DeliveryError(f"{command[0]} cannot be started: {error.strerror}") from None
    with process:
        found: bytes = process.stdout.read(_MOST_BYTES + 1) if process.stdout is not None else b""
        if len(found) > _MOST_BYTES:
            process.kill()
            raise DeliveryError(f"{what} prints more than {_MOST_BYTES:,} bytes")
    if process.returncode:
        raise DeliveryError(f"{what} ended with exit code {process.returncode}")
    return found


def _source(secret: Secret) -> str:
    return secret.file or secret.command[0]
