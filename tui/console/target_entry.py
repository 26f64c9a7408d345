"""The values of the target form: validation, and the entry that is saved."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from engine import Operation
from engine.config.model import TargetEntry, expand_home
from engine.domain.errors import DbtendError, TargetError
from engine.domain.frozen import frozen
from engine.fleet.expansion import stands_for_many
from engine.fleet.patterns import is_wild
from engine.inspection import inspector
from tui.presentation.canonical_urls import CanonicalUrls
from tui.presentation.target_names import LABEL_WIDTH
from tui.presentation.text import cells, plain


@frozen(kw_only=True)
class FormValues:
    url: str = ""
    name: str = ""
    """Empty: `proposed_name`."""
    label: str = ""
    operations: frozenset[Operation] = frozenset()

    @classmethod
    def of(cls, entry: TargetEntry | None) -> FormValues:
        if entry is None:
            return cls()
        operations = frozenset(entry.operations or ())
        return cls(url=entry.url, name=entry.name, label=entry.label or "", operations=operations)


@frozen
class FieldMessage:
    """The text below a field."""

    text: str = ""
    is_wrong: bool = False
    is_unfinished: bool = False
    """Wrong, but not shown while it is being typed."""
    is_doubtful: bool = False
    """Valid, but probably a mistake."""


FINE: Final = FieldMessage()


def url_as_saved(text: str, directory: Path) -> str:
    """Makes a relative path absolute: the config file is used from any directory."""
    text = text.strip()
    if "://" in text:
        return text
    path = text.removeprefix("sqlite:")
    if not path or path.startswith(("/", "~")) or _names_a_server(text):
        return path if path != text and path else text
    return str(directory / path)


def _names_a_server(text: str) -> bool:
    """Whether it names a server, such as `host=db1 dbname=shop`."""
    try:
        return not inspector.engine_of(text).is_file
    except DbtendError:
        return True


def about_url(text: str, url: str) -> FieldMessage:
    """Checks that need no disk. `url`: the text as it would be saved."""
    if not text.strip():
        return FieldMessage("enter a path, such as ~/data/sales.db", is_wrong=True, is_unfinished=True)
    try:
        inspector.engine_of(expand_home(url))
    except DbtendError as error:
        return FieldMessage(error.why_and_hint, is_wrong=True)
    except RuntimeError:
        return FieldMessage(f"{url.partition('/')[0]} is no home directory: enter the absolute path", is_wrong=True)
    return FINE if url == text.strip() else FieldMessage(f"saved as {url}")


@frozen
class Place:
    url: str = ""
    same_as: str = ""
    """The name of another target with the same database."""
    trouble: str = ""
    """Why no database can be read there."""


def place_of(url: str, others: Collection[TargetEntry], urls: CanonicalUrls) -> Place:
    """Reads the disk: do not call on the event loop. `others`: the other targets of the config file."""
    same_as = ""
    try:
        meant = inspector.canonical_url(expand_home(url))
        same_as = next((other.name for other in others if urls.of(other.url) == meant), "")
        if _names_a_server(url) or not stands_for_many(TargetEntry(name="", url=expand_home(url))):
            inspector.fingerprint(meant)
    except TargetError as error:
        return Place(url, same_as, error.why)
    except (DbtendError, RuntimeError):
        return Place(url)  # `about_url` names the problem
    return Place(url, same_as)


def about_place(message: FieldMessage, place: Place, *, is_typed: bool) -> FieldMessage:
    """Adds the result of `place_of` to the message of a valid URL.

    `is_typed`: it is still being typed: the start of a path exists rarely.
    """
    if message.is_wrong:
        return message
    if place.same_as:
        return FieldMessage(f"the same database as {place.same_as}")
    if place.trouble and not is_typed:
        return FieldMessage("; ".join(filter(None, (message.text, place.trouble))), is_doubtful=True)
    return message


def proposed_name(url: str) -> str:
    """The name of the file without its extension; for a pattern that of its directory."""
    if is_wild(url):
        url = url[: min(url.find(char) for char in "*?[" if char in url)].rpartition("/")[0]
    name = plain(unquote(url.strip().rstrip("/").rpartition("/")[2]).removeprefix("sqlite:"))
    return name.removesuffix(".db").removesuffix(".sqlite").removesuffix(".sqlite3") or name


def about_name(name: str, url: str, others: Collection[TargetEntry], reserved: Collection[str] = ()) -> FieldMessage:
    meant = name.strip() or proposed_name(url)
    if not meant:
        return FieldMessage("enter a name, such as sales", is_wrong=True, is_unfinished=True)
    if plain(meant) != meant:
        return FieldMessage("has a character that a terminal cannot show", is_wrong=True)
    if meant.startswith("-"):
        return FieldMessage("starts with -: dbtend would take it for an option", is_wrong=True)
    if meant in reserved:
        return FieldMessage("is a command of dbtend: choose another name", is_wrong=True)
    if any(other.name == meant for other in others):
        return FieldMessage(f"{meant} is the name of another target", is_wrong=True)
    return FINE if name.strip() else FieldMessage(f"default: {meant}")


def about_label(label: str) -> FieldMessage:
    label = label.strip()
    if plain(label) != label:
        return FieldMessage("has a character that a terminal cannot show", is_wrong=True)
    if cells(label) > LABEL_WIDTH:
        return FieldMessage(f"longer than {LABEL_WIDTH} characters: will be cut on screens")
    return FINE if label else FieldMessage("optional, such as PROD: shown beside the name")


def entry_of(filled: FormValues, url: str, was: TargetEntry | None) -> TargetEntry:
    """The entry to save. Operations keep their order; new ones follow in the order of the engine."""
    before = (was.operations if was else None) or ()
    kept = [operation for operation in before if operation in filled.operations]
    new = [operation for operation in offered(url, before) if operation in filled.operations - set(kept)]
    return TargetEntry(
        name=filled.name.strip() or proposed_name(url),
        url=_as_text(url),
        label=filled.label.strip() or None,
        operations=(*kept, *new) or None,
    )


def _as_text(url: str) -> str:
    """A URL for a file name whose bytes are not UTF-8."""
    try:
        url.encode()
    except UnicodeEncodeError:
        return inspector.canonical_url(url)
    return url


def offered(url: str, besides: Collection[Operation] = ()) -> tuple[Operation, ...]:
    """The operations to choose from, in the order of the engine; those of SQLite for an unfinished URL."""
    try:
        of_engine = inspector.operations(expand_home(url))
    except (DbtendError, RuntimeError):
        of_engine = inspector.operations("sqlite:of-any-name")
    return (*of_engine, *(operation for operation in besides if operation not in of_engine))
