"""What is filled in for a target: whether it can be saved like this, and what is saved then."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from engine import EngineName, Operation
from engine.config.model import TargetEntry, expanded
from engine.domain.errors import DbtendError, TargetError
from engine.domain.frozen import frozen
from engine.inspection import inspector
from tui.presentation.canonical_urls import CanonicalUrls
from tui.presentation.target_names import LABEL_WIDTH
from tui.presentation.text import cells, plain


@frozen(kw_only=True)
class FormValues:
    """The fields as they were typed."""

    url: str = ""
    name: str = ""
    """What it is called; nothing: as `proposed_name` has it."""
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
    """What is said below a field."""

    text: str = ""
    is_wrong: bool = False
    is_unfinished: bool = False
    """Wrong, but not worth a word while it is being typed."""
    is_doubtful: bool = False
    """It can be, but hardly is what was meant."""


FINE: Final = FieldMessage()


def url_as_saved(text: str, directory: Path) -> str:
    """A path that is meant from `directory` on is saved whole: the config file is read from anywhere."""
    text = text.strip()
    if "://" in text:
        return text
    path = text.removeprefix("sqlite:")
    if not path or path.startswith(("/", "~")) or _names_a_server(text):
        return path if path != text and path else text
    return str(directory / path)


def _names_a_server(text: str) -> bool:
    """Whether it is no path, such as `host=db1 dbname=shop`."""
    try:
        return inspector.engine_of(text) is not EngineName.SQLITE
    except DbtendError:
        return True


def about_url(text: str, url: str) -> FieldMessage:
    """What can be said without looking at any disk. `url`: what is saved of the text."""
    if not text.strip():
        return FieldMessage("name a file, such as ~/data/sales.db", is_wrong=True, is_unfinished=True)
    try:
        inspector.engine_of(expanded(url))
    except DbtendError as error:
        return FieldMessage(f"{error.why} ({error.hint})" if error.hint else error.why, is_wrong=True)
    except RuntimeError:
        return FieldMessage(f"{url.partition('/')[0]} is no home: give the whole path", is_wrong=True)
    return FINE if url == text.strip() else FieldMessage(f"saved as {url}")


@frozen
class Place:
    """What is where a URL leads to."""

    url: str = ""
    same_as: str = ""
    """The name of another target that is the same database."""
    trouble: str = ""
    """Why there is no database that could be read."""


def place_of(url: str, others: Collection[TargetEntry], urls: CanonicalUrls) -> Place:
    """A look at the disk; not to be taken on the event loop. `others`: the other targets of the config file."""
    same_as = ""
    try:
        meant = inspector.canonical_url(expanded(url))
        same_as = next((other.name for other in others if urls.of(other.url) == meant), "")
        inspector.fingerprint(meant)
    except TargetError as error:
        return Place(url, same_as, error.why)
    except (DbtendError, RuntimeError):
        return Place(url)  # no place at all, as `about_url` says
    return Place(url, same_as)


def about_place(said: FieldMessage, place: Place, *, is_typed: bool) -> FieldMessage:
    """What is said of a URL that is not wrong, now that its place has been looked at.

    `is_typed`: it is still being typed; the beginning of a path leads nowhere.
    """
    if said.is_wrong:
        return said
    if place.same_as:
        return FieldMessage(f"the same database as {place.same_as}")
    if place.trouble and not is_typed:
        return FieldMessage("; ".join(filter(None, (said.text, place.trouble))), is_doubtful=True)
    return said


def proposed_name(url: str) -> str:
    """The file's name without what every such file ends with."""
    name = plain(unquote(url.strip().rstrip("/").rpartition("/")[2]).removeprefix("sqlite:"))
    return name.removesuffix(".db").removesuffix(".sqlite").removesuffix(".sqlite3") or name


def about_name(name: str, url: str, others: Collection[TargetEntry], reserved: Collection[str] = ()) -> FieldMessage:
    meant = name.strip() or proposed_name(url)
    if not meant:
        return FieldMessage("give it a name, such as sales", is_wrong=True, is_unfinished=True)
    if plain(meant) != meant:
        return FieldMessage("has a character that a terminal does not show", is_wrong=True)
    if meant.startswith("-"):
        return FieldMessage("begins like an option: dbtend could not be given it", is_wrong=True)
    if meant in reserved:
        return FieldMessage(f"is a command of dbtend: dbtend {meant} would not open it", is_wrong=True)
    if any(other.name == meant for other in others):
        return FieldMessage(f"{meant} is the name of another target", is_wrong=True)
    return FINE if name.strip() else FieldMessage(f"nothing typed: {meant}")


def about_label(label: str) -> FieldMessage:
    label = label.strip()
    if plain(label) != label:
        return FieldMessage("has a character that a terminal does not show", is_wrong=True)
    if cells(label) > LABEL_WIDTH:
        return FieldMessage(f"is cut to {LABEL_WIDTH} cells where it is shown")
    return FINE if label else FieldMessage("such as PROD: shown wherever the target is named")


def entry_of(filled: FormValues, url: str, was: TargetEntry | None) -> TargetEntry:
    """What is saved. The operations keep the order that they had; new ones come in the engine's."""
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
    """A file's name may hold bytes that are no text: a URL can say them."""
    try:
        url.encode()
    except UnicodeEncodeError:
        return inspector.canonical_url(url)
    return url


def offered(url: str, besides: Collection[Operation] = ()) -> tuple[Operation, ...]:
    """The operations to choose from, in the engine's order: those of SQLite where the URL does not say yet."""
    try:
        of_engine = inspector.operations(expanded(url))
    except (DbtendError, RuntimeError):
        of_engine = inspector.operations("sqlite:of-any-name")
    return (*of_engine, *(operation for operation in besides if operation not in of_engine))
