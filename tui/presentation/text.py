"""Values as text: pure functions, for the console and the command line."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, unquote, urlsplit

from engine import Options, Status
from engine.domain.humanize import counted as counted
from engine.domain.humanize import size as size
from engine.domain.humanize import span
from engine.domain.lazy_import import lazy
from engine.domain.option_specs import BY_NAME, OPTION_SPECS, changed_options
from engine.domain.server_names import is_file_url, names_server, without_scheme

if TYPE_CHECKING:
    from engine.domain import time_zones
else:
    time_zones = lazy("engine.domain.time_zones", "only a schedule needs it")

GLYPH: Final[Mapping[Status, str]] = {
    Status.PENDING: "·",
    Status.RUNNING: "►",
    Status.COMPLETED: "✓",
    Status.FAILED: "×",
    Status.CANCELLED: "■",
    Status.SKIPPED: "–",
}


def duration(seconds: float | None) -> str:
    """Seconds for a person: `0:04`, `3:12`, `1:02:45`."""
    if seconds is None:
        return ""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def precise_duration(seconds: float | None) -> str:
    """A measured time: `3 ms`, `1.93 s`, `3:12`."""
    if seconds is None:
        return ""
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.995:
        return f"{seconds:.2f} s"
    return duration(seconds)


def percent(fraction: float) -> str:
    """Rounded down, so that 100% is never shown before the end."""
    return f"{int(min(max(fraction, 0.0), 1.0) * 100)}%"


def time_left(seconds: float | None) -> str:
    """An estimate: `0:44 left`, `1h20m left`, in at most 11 cells; never nothing left of what still runs."""
    if seconds is None:
        return ""
    whole = max(math.ceil(seconds), 1)
    return f"{duration(whole) if whole < 3600 else span(whole - whole % (60 if whole < 86_400 else 3600))} left"


def rfc3339(micros: int | None) -> str | None:
    """A stored time as an RFC 3339 UTC string with microseconds, for JSON."""
    if micros is None:
        return None
    return datetime.fromtimestamp(micros / 1e6, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def local_time(micros: int | None) -> str:
    """A stored time in the user's time zone: `2026-11-24 15:38:05`."""
    if micros is None:
        return ""
    return datetime.fromtimestamp(micros / 1e6).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def zoned_time(micros: int | None) -> str:
    """The time with the name of the zone, where a reader may be elsewhere: `2026-11-24 15:38:05 CET`."""
    zone = "" if micros is None else f" {datetime.fromtimestamp(micros / 1e6).astimezone():%Z}"
    return local_time(micros) + zone


def time_in_zone(micros: int, timezone: str) -> str:
    """A stored time in a time zone by name, "" for that of the machine: `2026-11-24 15:38:05 CET (Europe/Berlin)`."""
    zone = time_zones.zone_named(timezone)
    return f"{datetime.fromtimestamp(micros / 1e6, zone):%Y-%m-%d %H:%M:%S %Z} ({zone.key})"


def plain(untrusted: str) -> str:
    """Untrusted text with everything visible that a terminal could obey."""
    if untrusted.isprintable():  # the common, fast case
        return untrusted
    return "".join(c if _is_harmless(c) else _escaped(c) for c in untrusted)


def plain_lines(untrusted: str) -> str:
    """Like `plain`, for a text of several lines."""
    return "\n".join(map(plain, untrusted.split("\n")))


def _is_harmless(char: str) -> bool:
    return unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}


def _escaped(char: str) -> str:
    return repr(char)[1:-1] if unicodedata.category(char) != "Cf" else f"\\u{ord(char):04x}"


def capitalized(text: str) -> str:
    """`text` with a capital at its beginning; the rest is unchanged."""
    return text[:1].upper() + text[1:]


def sentences(parts: Iterable[str]) -> str:
    """The parts, each only once, as sentences; empty without parts."""
    text = ". ".join(dict.fromkeys(parts))
    return f"{text}." if text else ""


def cells(text: str) -> int:
    """How many columns of a terminal `text` takes."""
    return len(text) if text.isascii() else sum(map(_cells, text))


def _cells(char: str) -> int:
    if unicodedata.category(char) in {"Mn", "Me"}:
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def shortened(text: str, width: int) -> str:
    """`text` in at most `width` cells, its end replaced by an ellipsis where it does not fit."""
    if width <= 0:
        return ""
    if cells(text) <= width:
        return text
    return _first_cells(text, width - 1) + "…"


def shortened_inside(text: str, width: int) -> str:
    """Shorten a text with the ellipsis inside: the end of a name tells it from others."""
    if width <= 0 or cells(text) <= width:
        return shortened(text, width)
    end = (width - 1) * 2 // 3
    return f"{_first_cells(text, width - 1 - end)}…{_first_cells(text[::-1], end)[::-1]}"


def _first_cells(text: str, width: int) -> str:
    kept, used = "", 0
    for char in text:
        used += _cells(char)
        if used > width:
            break
        kept += char
    return kept


def padded(text: str, width: int) -> str:
    """`text` in exactly `width` cells."""
    text = shortened(text, width)
    return text + " " * (width - cells(text))


def is_on_a_server(url: str) -> bool:
    """Whether a canonical URL means a database on a server rather than a file."""
    return names_server(url)


def target_name(url: str) -> str:
    """The name of a target without a configured one: the file or `shop@db1`, for a file of
    another host `sales.db@db2`, harmless to a terminal."""
    if is_on_a_server(url):
        return _server_database_name(url)
    name = url.rstrip("/").rpartition("/")[2]
    host = without_scheme(url).partition("/")[0] if is_file_url(url) else ""
    shown = plain((unquote(name, errors="surrogateescape") if "://" in url else name) or url)
    return shown + (f"@{plain(unquote(host))}" if host else "")


_USUAL_PORTS: Final = {"mysql": 3306, "mariadb": 3306}
_POSTGRES_PORT: Final = 5432


def _server_database_name(url: str) -> str:
    """`shop@db1:5433`; without a local host and the default port; for a service, its name."""
    try:
        place = urlsplit(url)
        port, usual = place.port, _USUAL_PORTS.get(place.scheme, _POSTGRES_PORT)
    except ValueError:  # it names no host: to resolve it says why
        return plain(url.partition("://")[0])
    asked = parse_qs(place.query)
    database, host = unquote(place.path.lstrip("/")), place.hostname
    name = database or asked.get("service", [url])[0]
    where = f"@{host}" if host else ""
    return plain(f"{name}{where}{'' if port in {None, usual} else f':{port}'}")


def path_of(target: str) -> str:
    """The path of a target, with which its errors may begin."""
    try:
        return unquote(urlsplit(target).path, errors="surrogateescape")
    except ValueError:  # see above
        return ""


def format_options(options: Options) -> list[str]:
    """The options of a request without its time limits; defaults only if they matter."""
    told = [spec for spec in OPTION_SPECS if spec.always_told]
    told += [spec for spec in OPTION_SPECS if not spec.always_told and spec.differs_from_default(options)]
    return [text for spec in told if (text := spec.text_in(options))]


def unusual_options(options: Options) -> list[str]:
    return [text for name in changed_options(options) if (text := BY_NAME[name].text_in(options))]


def size_change(before: float | None, after: float | None) -> str:
    """`24.1 MB -> 14.3 MB, 9.80 MB back`; empty where a size is not known."""
    if before is None or after is None or size(before) == size(after):
        return before_and_after(before, after)
    difference = f"{size(before - after)} back" if after < before else f"grew by {size(after - before)}"
    return f"{before_and_after(before, after)}, {difference}"


def before_and_after(before: float | None, after: float | None) -> str:
    """`24.1 MB -> 14.3 MB`; one size where both read the same; empty where a size is not known."""
    if before is None or after is None:
        return ""
    return size(after) if size(before) == size(after) else f"{size(before)} -> {size(after)}"
