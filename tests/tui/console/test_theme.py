"""Colours: which there are, which suit a terminal, and that they can be changed while the console is open."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from textual.app import App
from textual.color import Color

from engine import Operation
from engine.config.config_file import ConfigFile
from engine.domain.errors import UsageError
from tests.tui.console.conftest import Seeded
from tests.tui.console.harness import Clock, add_failed_job, entry, open_console
from tui.console.saved_targets import SavedTargets
from tui.console.theme import ANSI_THEMES, THEMES, appearance_of, offered_themes, suitable_theme
from tui.console.views.line import Role

TRUECOLOR = {"COLORTERM": "truecolor"}


@pytest.mark.parametrize(
    ("wanted", "environ", "theme"),
    [
        (None, TRUECOLOR, "dbtend"),
        (None, {}, "ansi-dark"),
        (None, TRUECOLOR | {"NO_COLOR": "1"}, "ansi-dark"),
        ("high-contrast", {}, "high-contrast"),
        ("high-contrast", {"NO_COLOR": "1"}, "ansi-dark"),
        ("ansi-light", {"NO_COLOR": "1"}, "ansi-light"),
    ],
)
def test_the_theme_that_suits(wanted: str | None, environ: Mapping[str, str], theme: str) -> None:
    assert suitable_theme(wanted, environ) == theme
    assert theme in offered_themes(environ)


def test_a_theme_that_is_none_is_refused_by_name() -> None:
    with pytest.raises(UsageError) as refused:
        suitable_theme("solarized", {})
    assert refused.value.why == "unknown theme 'solarized'"
    assert all(name in refused.value.hint for name in THEMES)


@pytest.mark.parametrize("name", [name for name in THEMES if name not in ANSI_THEMES])
async def test_everything_can_be_read(name: str, sales: Path, seeded: Seeded, clock: Clock) -> None:
    """WCAG contrast: 4.5 on the background, 3 under the cursor; 7 and 4.5 for high-contrast."""
    async with open_console(seeded.path, entry(), clock=clock, theme=name) as console:
        appearance = appearance_of(console.app)
        background = Color.parse(console.app.theme_variables["background"])
        cursor = appearance.cursor.bgcolor
        assert cursor is not None
        for role in Role:
            text = Color.from_rich_color(appearance.roles[role].color)
            least = 7 if name == "high-contrast" else 4.5
            assert contrast(text, background) >= least, role
            assert contrast(text, Color.from_rich_color(cursor)) >= (4.5 if name == "high-contrast" else 3), role


def contrast(one: Color, other: Color) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(color: Color) -> float:
    def linear(part: float) -> float:
        return part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4

    red, green, blue = (linear(part) for part in color.normalized)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("name", THEMES)
async def test_theme(
    name: str, sales: Path, seeded: Seeded, clock: Clock, looks_right: Callable[[App[None]], bool]
) -> None:
    """Chosen while the console is open: everything is repainted."""
    await add_failed_job(seeded.store, seeded.owner, clock)
    async with open_console(seeded.path, entry(label="PROD"), clock=clock) as console:
        await console.press("3", "l", "down", "colon", *f"theme {name}", "enter", "down")
        assert console.app.theme == name
        assert looks_right(console.app)


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("", '[console]\ntheme = "high-contrast"\n'),
        (
            "# ours\n[console]\nmouse = false  # no\n",
            '# ours\n[console]\nmouse = false  # no\ntheme = "high-contrast"\n',
        ),
    ],
)
async def test_what_is_chosen_is_kept_in_the_config_file(text: str, after: str, sales: Path, clock: Clock) -> None:
    path = Path("config.toml")
    path.write_text(text)
    file = ConfigFile(path)
    saved = SavedTargets(file, file.load())
    async with open_console(Path("jobs.db"), entry(), clock=clock, saved=saved) as console:
        await console.press("C", *"high", "enter")
        assert console.app.theme == "high-contrast"
        assert console.message == "Theme high-contrast, saved in config.toml."
        assert path.read_text() == after


async def test_where_it_cannot_be_kept_that_is_said(sales: Path, clock: Clock) -> None:
    file = ConfigFile(Path("config.toml"))
    saved = SavedTargets(file, file.load())
    async with open_console(Path("jobs.db"), entry(), clock=clock, saved=saved) as console:
        file.path.write_text("[console")
        await console.press("C", *"high", "enter")
        assert console.app.theme == "high-contrast"
        assert console.message.startswith("Theme high-contrast, for this session: config.toml")


async def test_a_console_that_is_read_only_keeps_nothing(sales: Path, seeded: Seeded, clock: Clock) -> None:
    file = ConfigFile(Path("config.toml"))
    saved = SavedTargets(file, file.load())
    async with open_console(seeded.path, entry(), clock=clock, saved=saved, read_only=True) as console:
        await console.press("C", *"high", "enter")
        assert console.message == (
            "Theme high-contrast, for this session. "
            'To keep it: theme = "high-contrast" below [console] in the config file.'
        )
        assert not file.path.exists()


@pytest.mark.parametrize("keys", [("P",), ("r", "enter"), ("colon",)], ids=["question", "typed", "commands"])
@pytest.mark.parametrize("name", THEMES)
async def test_a_question_is_a_box_over_the_screen(
    name: str, keys: tuple[str, ...], sales: Path, seeded: Seeded, clock: Clock
) -> None:
    """Whatever is asked, what it is about is still seen."""
    await add_failed_job(seeded.store, seeded.owner, clock)
    asking = entry(label="PROD", operations=(Operation.VACUUM,))
    async with open_console(seeded.path, asking, clock=clock, theme=name) as console:
        await console.press(*keys)
        assert console.screen_name in {"ConfirmScreen", "TypedConfirmScreen", "PaletteScreen"}
        shown = [strip.text for strip in console.app.screen._compositor.render_strips()]
        assert any(text.startswith(("┌─", "┏━")) for text in shown[:3]), shown[:3]
