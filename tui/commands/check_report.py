"""Prints the checks of `dbtend doctor` and `dbtend store check`."""

from __future__ import annotations

from collections.abc import Sequence

from tui.commands import output
from tui.presentation.exit_codes import FAILED, OK
from tui.presentation.health_check import Check, Level, to_show
from tui.presentation.json_fields import fields
from tui.presentation.text import padded, plain


def print_checks(checks: Sequence[Check], *, as_json: bool) -> int:
    """The exit code: FAILED where one found a problem."""
    if as_json:
        output.document({"checks": [_form(check) for check in checks]})
    else:
        for check in to_show(checks):
            fix = f"  ({plain(check.fix)})" if check.fix else ""
            output.line(f"{padded(check.level, 8)} {padded(plain(check.what), 12)} {plain(check.found)}{fix}")
    return FAILED if any(check.level is Level.PROBLEM for check in checks) else OK


def _form(check: Check) -> dict[str, object]:
    form = fields(check, "level", "what", "found", "fix")
    return {**form, "facts": dict(check.facts)} if check.facts else form
