"""The types of the values of a schedule in the config file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.domain.lazy_import import lazy
from engine.domain.requests import Operation
from engine.domain.schedules import NEEDED
from engine.domain.value_types import ChoiceList, ValueType, WrongValueError, shortened

if TYPE_CHECKING:
    from engine.domain import due_times, time_zones
else:
    due_times = lazy("engine.domain.due_times", "only a schedule needs it")
    time_zones = lazy("engine.domain.time_zones", "only a schedule needs it")


class Cron(ValueType):
    rule, example = "a cron expression of five fields", '"0 22 * * mon-fri"'

    def value_of(self, text: str) -> str:
        if problem := due_times.cron_problem(text):
            raise WrongValueError(f"{shortened(repr(text))} {problem}", f"such as {{key}} = {self.example}")
        return " ".join(text.split())

    def from_toml(self, value: object) -> Any:
        return self.value_of(value) if isinstance(value, str) else super().from_toml(value)


class TimeZone(ValueType):
    rule, example = "a time zone", '"Europe/Berlin"'

    def value_of(self, text: str) -> str:
        time_zones.zone_named(text)
        return text

    def wrong_value(self) -> WrongValueError:
        hint = f"such as {{key}} = {self.example}; if it is one, install the package tzdata"
        return WrongValueError(f"must be {self.rule} that this machine knows", hint)


class NeededOrOperations(ChoiceList):
    """A list of operations; None for those that advice calls for."""

    def __init__(self) -> None:
        super().__init__("operation", Operation)
        self.rule = f'"{NEEDED}", or {self.rule}'

    def from_toml(self, value: object) -> Any:
        if value == NEEDED:
            return None
        if isinstance(value, str):
            raise WrongValueError(f"cannot be {shortened(repr(value))}", f'give "{NEEDED}", or a list of operations')
        if isinstance(value, list) and NEEDED in value:
            raise WrongValueError(f'cannot have "{NEEDED}" in a list', f'write {{key}} = "{NEEDED}"')
        return super().from_toml(value)

    def text(self, value: Any) -> str:
        return NEEDED if value is None else ", ".join(value)
