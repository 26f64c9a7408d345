"""Databases by name: URLs, libpq's key=value and service=NAME become one canonical URL without a password."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

import psycopg
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict

from engine.domain.errors import UsageError
from engine.domain.frozen import frozen
from engine.system.local_servers import host_spelling

SECRETS: Final = frozenset({"password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key"})
FORMS: Final = "give postgresql://USER@HOST/DATABASE, service=NAME, or host=... dbname=..."
_NOT_OURS: Final = frozenset({"application_name", "fallback_application_name", "client_encoding"})
_LOCATION: Final = ("host", "hostaddr", "port", "user", "dbname")


@frozen
class Address:
    """Where a database is."""

    parameters: Mapping[str, str]
    url: str

    @property
    def host_key(self) -> str:
        """Equal for all databases of a server that are named alike; the names of the loopback interface are one."""
        if "service" in self.parameters:
            return f"postgresql:service={self.parameters['service']}"
        host = self.parameters.get("hostaddr") or self.parameters.get("host", "")
        return f"postgresql:{host_spelling(host)}:{self.parameters.get('port', '')}"


def address(text: str, what: str = "target") -> Address:
    """`what`: what `text` names, for errors. Raises UsageError."""
    parameters = parameters_of(text, what)
    return Address(parameters, url_of(parameters))


def parameters_of(text: str, what: str = "target") -> dict[str, str]:
    """The complete libpq parameters of this name, so that it means the same wherever it is used.

    Missing parameters come from the environment now, unless a service is named. `what`: what it names, for errors.
    Raises UsageError; the message never repeats `text`, which may hold a secret.
    """
    try:
        given = {name: str(value) for name, value in conninfo_to_dict(text).items()}
    except (psycopg.Error, UnicodeDecodeError):
        raise UsageError(what, "libpq does not understand it", FORMS) from None
    if SECRETS & given.keys():
        hint = "put it into ~/.pgpass or a service file (pg_service.conf), which libpq looks into by itself"
        raise UsageError(what, f"a password must not be part of a {what}", hint)
    if not all(port.isdigit() for port in given.get("port", "").split(",") if port):
        raise UsageError(what, "its port is no number", FORMS)
    parameters = {name: value for name, value in given.items() if name not in _NOT_OURS}
    if "service" not in parameters and not set(_LOCATION) & parameters.keys() and os.environ.get("PGSERVICE"):
        parameters["service"] = os.environ["PGSERVICE"]
    if "service" not in parameters:
        parameters = _located(parameters)
    return parameters


def environment_of(parameters: Mapping[str, str]) -> dict[str, str]:
    """What libpq takes from the environment for these parameters when it connects, by the names of the variables."""
    settled = {*parameters, *_LOCATION, *_NOT_OURS, "service"}
    names = {
        default.envvar.decode()
        for default in pq.Conninfo.get_defaults()
        if default.envvar is not None and default.keyword.decode() not in settled
    }
    if "service" in parameters:
        names |= {"PGSERVICEFILE", "PGSYSCONFDIR"}
    return {name: os.environ[name] for name in sorted(names) if os.environ.get(name)}


def _located(parameters: Mapping[str, str]) -> dict[str, str]:
    usual = {
        default.keyword.decode(): default.val.decode()
        for default in pq.Conninfo.get_defaults()
        if default.val is not None
    }
    located = dict(parameters)
    if "hostaddr" not in located:
        located.setdefault("host", usual.get("host", ""))  # an empty one means libpq's own socket, whatever PGHOST says
    ports, usual_port = located.get("port", "").split(","), usual.get("port") or "5432"
    hosts = (located.get("hostaddr") or located["host"]).split(",")
    located["port"] = ",".join(port or usual_port for port in (ports if len(ports) > 1 else ports * len(hosts)))
    located.setdefault("user", usual.get("user", ""))
    located.setdefault("dbname", usual.get("dbname") or located["user"])
    return located


def url_of(parameters: Mapping[str, str]) -> str:
    """The canonical URL; `parameters_of` it gives the same parameters again."""
    rest = dict(parameters)
    hosts, ports = rest.get("host", "").split(","), rest.get("port", "").split(",")
    place = ""
    if all(hosts) and len(hosts) == len(ports) and not set("/%[]:") & set("".join(hosts)):
        place = ",".join(host + (f":{port}" if port else "") for host, port in zip(hosts, ports, strict=True))
        rest = {name: value for name, value in rest.items() if name not in {"host", "port"}}
    elif len(ports) == 1:
        place = f":{rest.pop('port', '')}".rstrip(":")
    user = rest.pop("user", "")
    authority = (f"{quote(user, safe='')}@" if user else "") + place
    path = quote(rest.pop("dbname", ""), safe="")
    query = "&".join(f"{name}={quote(value, safe='/:,')}" for name, value in sorted(rest.items()))
    return f"postgresql://{authority}/{path}" + (f"?{query}" if query else "")
