"""Edits the targets and the theme in the text of a config file; every other character stays.

A target is a section, `[targets.NAME]`; one written in another way becomes such a section when it is changed.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import SingleKey

from engine.config.model import Config, TargetEntry, expand_home
from engine.config.parser import parse_config
from engine.config.statements import Statement, statements
from engine.domain.errors import ConfigError

EDITABLE: Final = ("url", "label", "operations")
"""The keys of a target that can be edited besides its name; its other keys stay."""


def with_target(text: str, entry: TargetEntry, *, was: TargetEntry | None = None, file: str) -> str:
    """The text with this target added, or in place of the target `was`.

    Raises ConfigError: the text is invalid, the target has changed in the file, or the name is taken.
    """
    config = parse_config(text, file)
    if was is not None:
        _refuse_if_changed(config, was, file)
    others = {other.name: other for other in config.targets if was is None or other.name != was.name}
    if entry.name in others:
        raise ConfigError(entry.name, "is the name of another target", "give it a name of its own")
    meant = replace(entry, url=expand_home(entry.url))
    if was is not None:
        meant = replace(was, name=meant.name, **{key: getattr(meant, key) for key in EDITABLE})
    if key := meant.inapplicable_key:
        hint = "remove the key in an editor first, or add the database as a new target"
        raise ConfigError(meant.name, f"{file} says {key} of it, which does not apply to this kind of database", hint)
    changes = {key: _value(entry, key) for key in EDITABLE if was is None or getattr(meant, key) != getattr(was, key)}
    lines = _Lines(text)
    section = lines.section("targets", was.name) if was is not None else None
    if was is not None and section is not None:
        if entry.name != was.name:
            for part in lines.parts("targets", was.name):
                lines.rename(part, entry.name)
        for key, value in changes.items():
            lines.put(section, key, value)
    elif was is not None:
        before = tomllib.loads(text)["targets"][was.name]
        lines = _Lines(_without_scattered(text, was.name))
        lines.add_section(("targets", entry.name), {**before, **changes})
    else:
        lines.add_section(("targets", entry.name), changes)
    return _verified(lines.text, replace(config, targets=(*others.values(), meant)), file)


def without_target(text: str, was: TargetEntry, *, file: str) -> str:
    """The text without this target and the comment right above its section.

    Raises ConfigError: the text is invalid, or the target has changed in the file.
    """
    config = parse_config(text, file)
    _refuse_if_changed(config, was, file)
    lines = _Lines(text)
    section = lines.section("targets", was.name)
    if section is not None:
        for part in reversed(lines.parts("targets", was.name)):
            lines.remove(part)
    else:
        lines = _Lines(_without_scattered(text, was.name))
    return _verified(lines.text, replace(config, targets=tuple(e for e in config.targets if e != was)), file)


def with_theme(text: str, theme: str, *, file: str) -> str:
    """The text with this theme of the console. Raises ConfigError: the text is invalid."""
    config = parse_config(text, file)
    lines = _Lines(text)
    section = lines.section("console")
    if section is not None:
        lines.put(section, "theme", theme)
    else:
        lines.add_section(("console",), {"theme": theme})
    meant = replace(config, console=replace(config.console, theme=theme))
    return _verified(lines.text, meant, file, best=f'to theme = "{theme}" below [console]')


def _value(entry: TargetEntry, key: str) -> str | list[str] | None:
    value: str | tuple[str, ...] | None = getattr(entry, key)
    return [str(name) for name in value] if isinstance(value, tuple) else value


def _refuse_if_changed(config: Config, was: TargetEntry, file: str) -> None:
    if was not in config.targets:
        raise ConfigError(was.name, f"was changed in {file} by another program", "open it again and repeat the change")


def _verified(text: str, meant: Config, file: str, *, best: str = "to sections such as [targets.sales]") -> str:
    """The text, if it parses to the config `meant`; else raises ConfigError."""
    try:
        parsed = parse_config(text, file)
    except ConfigError:
        parsed = None
    if parsed is None or _in_any_order(parsed) != _in_any_order(meant):
        why = "it is written in a way that cannot be changed from here"
        raise ConfigError(file, why, f"change it in an editor, best {best}")
    return text


def _in_any_order(config: Config) -> Config:
    return replace(config, targets=tuple(sorted(config.targets, key=lambda entry: entry.name)))


def _without_scattered(text: str, name: str) -> str:
    """The text without a target that is not a section: `targets.sales.url = ...`, or an inline table."""
    try:
        document = tomlkit.parse(text)
        del document["targets"][name]
        return document.as_string()
    except (TOMLKitError, KeyError, ValueError):
        return text  # `_verified` refuses it


class _Lines:
    """The text as a list of statements. A section is the index of its header."""

    def __init__(self, text: str) -> None:
        self._newline = "\r\n" if "\r\n" in text.partition("\n")[0] + "\n" else "\n"
        self._statements = list(statements(text))

    @property
    def text(self) -> str:
        return "".join(statement.text for statement in self._statements)

    def section(self, *path: str) -> int | None:
        return next((n for n, s in enumerate(self._statements) if s.header == path), None)

    def put(self, section: int, key: str, value: Any) -> None:
        """Set a value in a section and keep its comment; None removes it."""
        inside = range(section + 1, self._last(section) + 1)
        at = next((n for n in inside if self._statements[n].key == key), None)
        if at is None and value is not None:
            self._insert(self._last(section) + 1, f"{key} = {tomlkit.item(value).as_string()}")
        elif at is not None and value is None:
            del self._statements[at]
        elif at is not None:
            document = tomlkit.parse(self._statements[at].text)
            document[key] = value
            self._statements[at] = replace(self._statements[at], text=document.as_string())

    def parts(self, *path: str) -> list[int]:
        """A section and those inside it, such as [targets.sales] and [targets.sales.advice]."""
        return [n for n, s in enumerate(self._statements) if s.header is not None and s.header[: len(path)] == path]

    def rename(self, section: int, name: str) -> None:
        """Give the target of a section, or of one inside it, another name."""
        header = self._statements[section]
        (kind, _, *inside) = header.header or ()
        opened: Any = tomlkit.parse(header.text)
        for key in header.header or ():
            opened = opened[key]
        trivia, path = opened.trivia, (kind, name, *inside)
        text = f"{trivia.indent}{_header(*path)}{trivia.comment_ws}{trivia.comment}{trivia.trail}"
        self._statements[section] = Statement(text, path)

    def remove(self, section: int) -> None:
        first, end = section, self._end(section)
        while first and self._statements[first - 1].is_comment:
            first -= 1
        if not first and section:
            first = section  # the comment at the top is about the file
        elif first and self._statements[first - 1].is_blank:
            first -= 1
        del self._statements[first:end]
        if not first and self._statements and self._statements[0].is_blank:
            del self._statements[0]

    def add_section(self, path: tuple[str, ...], values: Mapping[str, Any]) -> None:
        """Add a section after the existing ones of its kind, or at the end."""
        sections = [n for n, s in enumerate(self._statements) if s.header is not None and s.header[0] == path[0]]
        at = self._end(sections[-1]) if sections else len(self._statements)
        added = [_header(*path), *(f"{k} = {tomlkit.item(v).as_string()}" for k, v in values.items() if v is not None)]
        lines = ["", *added] if at and not self._statements[at - 1].is_blank else added
        if at < len(self._statements) and not self._statements[at].is_blank:
            lines.append("")
        for line in reversed(lines):
            self._insert(at, line)

    def _insert(self, at: int, line: str) -> None:
        if at and not self._statements[at - 1].text.endswith("\n"):
            before = self._statements[at - 1]
            self._statements[at - 1] = replace(before, text=before.text + self._newline)
        self._statements[at:at] = statements(line + self._newline)

    def _last(self, section: int) -> int:
        """The last key-value statement of a section; its header if there is none."""
        last = section
        for n in range(section + 1, len(self._statements)):
            if self._statements[n].header is not None:
                break
            if self._statements[n].key is not None:
                last = n
        return last

    def _end(self, section: int) -> int:
        """The end of a section: after its last statement and comments right below, unless they belong to the next."""
        end = past = self._last(section) + 1
        while past < len(self._statements) and self._statements[past].is_comment:
            past += 1
        return past if past == len(self._statements) or self._statements[past].is_blank else end


def _header(*path: str) -> str:
    return f"[{'.'.join(SingleKey(name).as_string() for name in path)}]"
