"""HTML that is made of elements: whatever is no element is text, and is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

from tui.presentation.text import plain

_WITHOUT_END: Final = frozenset({"meta", "line", "rect", "path", "circle"})


class Html(str):
    """Markup. Only this module and the pages make some."""


Part = str | Html | None


def element(name: str, /, *parts: Part, **attributes: str | float | None) -> Html:
    """`element("td", "a<b", class_="name")`. An attribute that is None is left out; `_` stands for `-`."""
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_text(_number(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _WITHOUT_END and not parts:
        return Html(f"<{name}{given}/>")
    return Html(f"<{name}{given}>{joined(parts)}</{name}>")


def joined(parts: Iterable[Part]) -> Html:
    return Html("".join(part if isinstance(part, Html) else _text(part) for part in parts if part is not None))


def table(heads: Sequence[str], rows: Iterable[Sequence[Part]], *, numbers: Sequence[int] = ()) -> Html:
    """`numbers`: the columns that are aligned to the right. On a phone each cell has its head before it."""
    classes = ["number" if at in numbers else None for at in range(len(heads))]
    head = element("tr", *(element("th", name, class_=kind) for name, kind in zip(heads, classes, strict=True)))
    body = (
        element(
            "tr",
            *(
                element("td", part, class_=kind, data_label=name)
                for name, part, kind in zip(heads, row, classes, strict=True)
            ),
        )
        for row in rows
    )
    return element("table", element("thead", head), element("tbody", *body))


def _text(untrusted: str) -> str:
    """Escape a text, also for attributes. Surrogates, which UTF-8 cannot hold, are shown by their number."""
    return escape(plain(untrusted))


def _number(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.2f}".rstrip("0").rstrip(".")
