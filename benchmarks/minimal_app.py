"""The least that a Textual app can be: what the console is measured against."""

from __future__ import annotations

from textual.app import App, ComposeResult
from textual.widgets import DataTable, Footer, Header


class MinimalApp(App[None]):
    """A header, a table of 50 rows, a footer."""

    BINDINGS = [("q", "quit", "Quit")]  # noqa: RUF012 - Textual's own form

    def compose(self) -> ComposeResult:
        yield Header()
        yield DataTable()
        yield Footer()

    def on_mount(self) -> None:
        table: DataTable[str] = self.query_one(DataTable)
        table.add_columns("id", "name", "status", "size")
        table.add_rows((str(n), f"database {n}", "completed", f"{n} MB") for n in range(50))


if __name__ == "__main__":
    MinimalApp().run()
