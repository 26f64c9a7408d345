"""The pictures of docs/explanation/architecture.md: the house, and the way of a job through it, as SVG.

The layers come from the import contracts in pyproject.toml, what a folder is for from its docstring, dots from the
imports, stations from two-walks.md.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final

from docs.generator.source_map import ROOT
from tui.presentation.page.html import Html, element, joined

_WALKS: Final = ROOT / "docs" / "explanation" / "two-walks.md"
_ROW, _NAME, _WORDS, _CELL = 26, 142, 680, 22
"""Pixels: the height of a row, the widths of a name, of what it is for, and of a column of dots."""
_STYLE: Final = """
text{font:13px sans-serif;fill:#24292f}.name{font-weight:600}.small{font-size:12px;fill:#57606a}
.room{fill:#f6f8fa;stroke:#d0d7de}.dot{fill:#0969da}.way{fill:none;stroke:#0969da;stroke-width:2}
.number{fill:#fff;font-size:11px;font-weight:600;text-anchor:middle}"""


def house() -> str:
    """A row for each folder, each above those that it may import; a dot where it does."""
    parts: list[Html] = []
    top = 0
    for floor, layers in _floors().items():
        imported = {layer: _imports(floor, layer, layers) for layer in layers}
        parts.append(_text(10, top + 18, f"{floor}/", "name"))
        for number, layer in enumerate(layers):
            y = top + _ROW * (number + 1)
            parts += [_room(10, y, _NAME + _WORDS), _text(18, y + 17, layer, "name")]
            parts.append(_text(_NAME + 18, y + 17, _purpose(floor, layer), "small"))
            parts.append(_text(_NAME + _WORDS + 24 + number * _CELL, top + 18, str(number + 1), "small"))
            parts += [
                element("circle", cx=_NAME + _WORDS + 28 + place * _CELL, cy=y + 13, r=4, class_="dot")
                for place, other in enumerate(layers)
                if other in imported[layer]
            ]
            parts.append(_text(_NAME - 12, y + 17, str(number + 1), "small"))
        top += _ROW * (len(layers) + 2)
    columns = max(map(len, _floors().values()))
    return _svg(_NAME + _WORDS + 40 + columns * _CELL, top, parts)


def way_of_a_job() -> str:
    """The folders that a job passes from its claim to its end, and its stations there."""
    stations = [*_stations()]
    lanes = [*dict.fromkeys(lane for lane, _ in stations)]
    step = (_WORDS - 60) / max(len(stations) - 1, 1)
    spots = [(_NAME + 60 + step * at, _ROW * lanes.index(lane) + 23) for at, (lane, _) in enumerate(stations)]
    parts = [
        part
        for at, lane in enumerate(lanes)
        for part in (_room(10, _ROW * at + 10, _NAME + _WORDS + 40), _text(18, _ROW * at + 27, lane, "name"))
    ]
    parts += [element("path", d=f"M{a:g} {b:g} L{c:g} {d:g}", class_="way") for (a, b), (c, d) in pairwise(spots)]
    below = _ROW * len(lanes) + 40
    for number, ((x, y), (_, function)) in enumerate(zip(spots, stations, strict=True), 1):
        parts.append(element("circle", cx=x, cy=y, r=10, class_="dot"))
        parts.append(_text(x, y + 4, str(number), "number"))
        parts.append(_text(18 + 440 * (number > (len(stations) + 1) // 2), below, f"{number}  {function}", "small"))
        below = _ROW * len(lanes) + 40 if number == (len(stations) + 1) // 2 else below + 19
    return _svg(_NAME + _WORDS + 60, _ROW * len(lanes) + 40 + 19 * ((len(stations) + 1) // 2), parts)


def _floors() -> Mapping[str, Sequence[str]]:
    """The folders of both floors from above, by the import contracts."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    layers = {contract["containers"][0]: contract["layers"] for contract in contracts if contract["type"] == "layers"}
    return {floor: [layer for layer in layers[floor] if (ROOT / floor / layer).is_dir()] for floor in ("tui", "engine")}


def _purpose(floor: str, folder: str) -> str:
    docstring = ast.get_docstring(ast.parse((ROOT / floor / folder / "__init__.py").read_bytes())) or ""
    return docstring.replace("`", "")


def _imports(floor: str, folder: str, layers: Sequence[str]) -> set[str]:
    """The other folders of the floor that it imports, also at first use (`lazy`) or for types alone."""
    names = {name for file in (ROOT / floor / folder).rglob("*.py") for name in _imported(ast.parse(file.read_bytes()))}
    return {other for other in layers if other != folder and any(_is_in(name, f"{floor}.{other}") for name in names)}


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(module=str(module), names=names):
                yield from (f"{module}.{name.name}" for name in names)
            case ast.Call(func=ast.Name(id="lazy"), args=[ast.Constant(value=str(module)), *_]):
                yield module


def _is_in(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def _stations() -> Iterator[tuple[str, str]]:
    """The folder and the function of each station of the second walk."""
    walk = _WALKS.read_text(encoding="utf-8").split("## From a claim")[1]
    for file, function in re.findall(r"^  (\S+\.py):(\w+)", walk, re.M):
        folder = "/".join(file.split("/")[:2]) if file.startswith("targets/") else file.split("/")[0]
        yield folder if folder.count(".py") == 0 else "targets", f"{file}: {function}"


def _room(x: float, y: float, width: float) -> Html:
    return element("rect", x=x, y=y, width=width, height=_ROW - 4, rx=3, class_="room")


def _text(x: float, y: float, text: str, kind: str) -> Html:
    return element("text", text, x=x, y=y, class_=kind)


def _svg(width: float, height: float, parts: Sequence[Html]) -> str:
    body = joined([element("style", Html(_STYLE)), element("rect", width="100%", height="100%", fill="#fff"), *parts])
    svg = element("svg", body, xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {width:g} {height:g}", width=width)
    return str(svg).replace("><", ">\n<") + "\n"
