"""Login: TLS, and the methods that may send a password to a server."""

from __future__ import annotations

import hashlib
import secrets
import ssl
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import pymysql
from nacl.signing import SigningKey
from pymysql import _auth

from engine.domain.errors import TargetUnavailableError
from engine.system.private_files import exposure
from engine.targets.mysql.connection.errors import NEEDS_TLS


class TlsMode(StrEnum):
    """The modes of TLS, with the names that the servers' own tools give them."""

    DISABLED = "DISABLED"
    PREFERRED = "PREFERRED"
    """TLS if the server has it: that keeps out those who only listen. The default."""
    REQUIRED = "REQUIRED"
    VERIFY_CA = "VERIFY_CA"
    """The default where an authority is given."""
    VERIFY_IDENTITY = "VERIFY_IDENTITY"

    @property
    def is_verified(self) -> bool:
        return self in {TlsMode.VERIFY_CA, TlsMode.VERIFY_IDENTITY}


_FALSE: Final = frozenset({"0", "off", "false"})


def tls_mode(options: Mapping[str, str], what: str) -> TlsMode:
    """What options of a URL or an option file mean. Raises TargetUnavailableError."""
    if given := options.get("ssl-mode", "").upper():
        try:
            return TlsMode(given)
        except ValueError:
            raise TargetUnavailableError(what, "its ssl-mode is unknown", f"there are {', '.join(TlsMode)}") from None
    if "skip-ssl" in options or options.get("ssl", "1").lower() in _FALSE:
        return TlsMode.DISABLED
    if options.get("ssl-verify-server-cert", "0").lower() not in _FALSE:
        return TlsMode.VERIFY_IDENTITY
    if "ssl-ca" in options:
        return TlsMode.VERIFY_CA
    return TlsMode.REQUIRED if {"ssl", "ssl-cert"} & options.keys() else TlsMode.PREFERRED


def tls_context(options: Mapping[str, str], mode: TlsMode, what: str) -> ssl.SSLContext:
    """Raises TargetUnavailableError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = mode is TlsMode.VERIFY_IDENTITY
    context.verify_mode = ssl.CERT_REQUIRED if mode.is_verified else ssl.CERT_NONE
    authority, certificate = options.get("ssl-ca"), options.get("ssl-cert")
    try:
        if authority:
            context.load_verify_locations(Path(authority).expanduser())
        elif mode.is_verified:
            context.load_default_certs()
        if certificate:
            key = Path(options["ssl-key"]).expanduser() if options.get("ssl-key") else None
            if key and (found := exposure(key)):
                raise TargetUnavailableError(what, f"its ssl-key {found}", found.fix)
            context.load_cert_chain(Path(certificate).expanduser(), key, _no_password)
    except (OSError, ValueError) as error:
        why = f"a file of its TLS cannot be read: {getattr(error, 'strerror', None) or error}"
        raise TargetUnavailableError(what, why, "check ssl-ca, ssl-cert and ssl-key") from None
    return context


def _no_password() -> str:
    """Refuse an encrypted key: without this Python would ask for its password at the terminal."""
    raise ValueError("the key is encrypted")


def methods(*, is_trusted: bool) -> Mapping[str, Callable[[Any], Any]]:
    """Methods of login that differ from PyMySQL's own.

    Args:
        is_trusted: whether who answers is known: by a socket, or a verified certificate.
    """
    told = dict.fromkeys(("mysql_clear_password", "dialog", "sha256_password", "mysql_old_password"), _Refused)
    return {"parsec": _Parsec, "caching_sha2_password": _CachingSha2, **({} if is_trusted else told)}


class _Method:
    """How a user logs in, as PyMySQL asks for it."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection


class _Refused(_Method):
    """A method that would send the password to any server."""

    def authenticate(self, packet: Any) -> Any:
        raise pymysql.OperationalError(NEEDS_TLS, "the server asks for the password itself")


class _CachingSha2(_Method):
    """Login by caching_sha2_password.

    Without TLS it sends only a proof of the password: the key of a server may be forged.
    """

    def authenticate(self, packet: Any) -> Any:
        connection = self._connection
        if connection._secure or not connection.password:
            return _auth.caching_sha2_password_auth(connection, packet)
        if packet.is_auth_switch_request():
            proof = _auth.scramble_caching_sha2(connection.password, packet.read_all().removesuffix(b"\0"))
            connection.write_packet(proof)
            packet = connection._read_packet()
        if packet.is_extra_auth_data():
            packet.advance(1)
            if packet.read_uint8() == _PROVED:
                return connection._read_packet()
        raise pymysql.OperationalError(NEEDS_TLS, "the server asks for the password itself")


_PROVED: Final = 3


class _Parsec(_Method):
    """MariaDB's Ed25519 with a salted password."""

    def authenticate(self, packet: Any) -> Any:
        connection = self._connection
        challenge = packet.read_all()[:32]
        connection.write_packet(b"")
        told = connection._read_packet().read_all().removeprefix(b"\1")
        kind, factor, salt = told[:1], told[1], told[2:]
        if kind != b"P" or factor > _HIGHEST_FACTOR:
            raise pymysql.OperationalError(2059, "it asks for an unknown kind of parsec")
        key = hashlib.pbkdf2_hmac("sha512", connection.password, salt, 1024 << factor, 32)
        own = secrets.token_bytes(32)
        connection.write_packet(own + SigningKey(key).sign(challenge + own).signature)
        return connection._read_packet()


_HIGHEST_FACTOR: Final = 3
"""A server cannot make this process compute for long."""
