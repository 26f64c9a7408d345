"""Parses a recipient of notifications: [notify.NAME] of the config file."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

from engine.config.keys import NOTIFY_KEYS
from engine.config.typed_table import Table
from engine.domain.masking import holds_password
from engine.domain.notifications import Method, Recipient, Secret, Tls

_KEYS: Final = {
    Method.COMMAND: ("command",),
    Method.WEBHOOK: ("webhook", "webhook_file", "webhook_command"),
    Method.EMAIL: ("smtp",),
    Method.APPRISE: ("apprise_file", "apprise_command"),
}
"""The keys that choose each way of delivery: one of them."""
_NAMES: Final = {
    Method.COMMAND: "a command",
    Method.WEBHOOK: "a webhook",
    Method.EMAIL: "e-mail",
    Method.APPRISE: "apprise",
}
_SECRETS: Final = ("webhook", "token", "password", "apprise")
_PORTS: Final = {Tls.STARTTLS: 587, Tls.TLS: 465, Tls.NONE: 25}
_ADDRESS: Final = re.compile(r"[^\s@,;<>()\x00-\x1f]+@[^\s@,;<>()\x00-\x1f]+|[A-Za-z0-9._-]+")
"""An address, or the name of a local user."""


def recipient(entry: Table) -> Recipient:
    """Raises ConfigError."""
    entry.allow_only(*NOTIFY_KEYS)
    method = _method(entry)
    for name, key in NOTIFY_KEYS.items():
        if key.only not in {None, method} and entry.has(name):
            entry.fail(name, f"does not apply to {_NAMES[method]}", "leave it out here")
    values = entry.values(NOTIFY_KEYS)
    if values.get("timeout", 1.0) < 1:
        entry.fail("timeout", "must be at least 1 second", "30 suits most")
    secrets = {name: _secret(entry, values, name) for name in _SECRETS}
    if method is Method.WEBHOOK:
        _check_webhook(entry, values, secrets["webhook"], secrets["token"])
    if method is Method.EMAIL:
        _check_email(entry, values, secrets["password"])
    return Recipient(
        name=entry.path[-1],
        method=method,
        webhook_secret=secrets["webhook"],
        token=secrets["token"],
        password=secrets["password"],
        apprise=secrets["apprise"],
        **values,
    )


def _method(entry: Table) -> Method:
    methods = {method: key for method, keys in _KEYS.items() for key in keys if entry.has(key)}
    if not methods:
        keys = [key for keys in _KEYS.values() for key in keys]
        entry.fail("command", "is missing", f"choose a way of delivery: {', '.join(keys[:-1])} or {keys[-1]}")
    if len(methods) > 1:
        first, second = list(methods.values())[:2]
        entry.fail(second, f"does not go with {first}", "a recipient has one way of delivery: add a second recipient")
    return next(iter(methods))


def _secret(entry: Table, values: dict[str, Any], name: str) -> Secret | None:
    """The source of the secret; removes the two keys from `values`."""
    file, command = values.pop(f"{name}_file", None), values.pop(f"{name}_command", ())
    if file and command:
        entry.fail(f"{name}_command", f"does not go with {name}_file", "leave one of them out")
    return Secret(file, command) if file or command else None


def _check_webhook(entry: Table, values: dict[str, Any], secret: Secret | None, token: Secret | None) -> None:
    url = values.get("webhook")
    if url is None:
        return
    if secret is not None:
        entry.fail("webhook", "does not go with webhook_file or webhook_command", "leave one of them out")
    if "@" in _place(url) or holds_password(url):
        entry.fail("webhook", "must not hold a password", "put the whole URL into a file: webhook_file")
    if not is_web_url(url):
        entry.fail("webhook", "must be a URL", 'such as webhook = "https://example.org/hook"')
    if token is not None and not hides_secrets(url):
        entry.fail("webhook", "must be https with a token", "http would show the token to others on the network")


def is_web_url(url: str) -> bool:
    """Whether it is a URL of http or https that names a host."""
    if not (url.isascii() and url.isprintable()) or " " in url:
        return False
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def hides_secrets(url: str) -> bool:
    """Whether the message is encrypted on its way, or stays on this host."""
    parts = urlsplit(url)
    return parts.scheme == "https" or _is_loopback(parts.hostname or "")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _place(url: str) -> str:
    try:
        return urlsplit(url).netloc
    except ValueError:
        return ""


def _check_email(entry: Table, values: dict[str, Any], password: Secret | None) -> None:
    tls: Tls = values.get("tls", Tls.STARTTLS)
    found = re.fullmatch(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?", values.pop("smtp"))
    if found is None or not 0 < int(found[2] or 1) < 65_536:
        entry.fail("smtp", "must be HOST or HOST:PORT", 'such as smtp = "mail.example.org:587"')
    values["host"], values["port"] = found[1].strip("[]"), int(found[2] or _PORTS[tls])
    values["sender"] = values.pop("from", "")
    for key in ("sender", "to"):
        name = "from" if key == "sender" else key
        if not values.get(key):
            entry.fail(name, "is missing", 'such as from = "dbtend@example.org" and to = ["dba@example.org"]')
    for name, addresses in (("from", (values["sender"],)), ("to", values["to"])):
        for address in addresses:
            if not address.isascii() or not _ADDRESS.fullmatch(address):
                entry.fail(name, "must be an address", "such as dba@example.org, without a name beside it")
    if bool(values.get("user")) != (password is not None):
        missing = "password_file or password_command" if values.get("user") else "user"
        entry.fail("user", f"and its password go together: {missing} is missing", "give both, or none")
    if password is not None and tls is Tls.NONE and not _is_loopback(values["host"]):
        why = "must not be none with a password, unless the server is this host"
        entry.fail("tls", why, 'give tls = "starttls" or tls = "tls"')
