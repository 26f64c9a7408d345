"""The xmin horizon: which sessions, slots and standbys keep dead rows from being removed."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from engine.domain.frozen import frozen
from engine.domain.humanize import span
from engine.targets.postgres.queries import query
from engine.targets.postgres.reading.locks import prepared_text
from engine.targets.postgres.reading.reader import Reader

OLD_AFTER: Final = 300.0
"""Seconds after which an open transaction is reported."""
OLD_AGE: Final = 100_000
"""A transaction is reported after so many others have begun since."""


class Reach(StrEnum):
    """For which tables a holder holds back dead rows."""

    ALL = "all"
    CATALOG = "catalog"
    """The catalog of this database, and what all databases share."""
    SHARED = "shared"
    """What all databases share only."""


@frozen
class Holder:
    """A session, slot or standby that holds dead rows back."""

    who: str
    age: int
    """Transactions that have begun since."""
    seconds: float | None
    what: str | None
    """None of a prepared transaction, whose name is `who`."""
    reach: str = Reach.ALL
    is_unused: bool = False
    """Whether nothing moves it on: a slot without a consumer."""

    @property
    def is_old(self) -> bool:
        """Whether it is worth a word: an active slot or a standby, too, only once it lags behind."""
        return self.age >= OLD_AGE or (self.seconds or 0) >= OLD_AFTER or self.is_unused

    @property
    def setting(self) -> str:
        """What to change so that it does not hold back so much; "" for a slot to drop and a prepared transaction."""
        if self.is_unused or self.what is None:
            return ""
        if self.seconds is None:
            return "hot_standby_feedback of the standby makes it so"
        return "transaction_timeout and idle_in_transaction_session_timeout end such a transaction"

    @property
    def text(self) -> str:
        if self.what is None:
            return prepared_text(self.who, self.seconds or 0.0)
        since = f", its transaction open for {span(self.seconds)}" if self.seconds is not None else ""
        return f"{self.who} ({self.what}{since})"


@frozen
class XminHorizon:
    all_holders: Sequence[Holder]
    """The oldest first."""
    is_complete: bool
    """Whether the role sees sessions of other roles."""

    @property
    def holders(self) -> Sequence[Holder]:
        """The holders that hold back dead rows of every table."""
        return [holder for holder in self.all_holders if holder.reach == Reach.ALL]

    def oldest(self, *, of_catalog: bool, is_shared: bool) -> Holder | None:
        """The oldest one that holds back dead rows of such a table."""
        reach = {Reach.ALL} | ({Reach.CATALOG} if of_catalog else set()) | ({Reach.SHARED} if is_shared else set())
        return next((holder for holder in self.all_holders if holder.reach in reach), None)


NOTHING_HELD: Final = XminHorizon((), is_complete=True)


async def read(reader: Reader) -> XminHorizon:
    (sees_all,) = await reader.row(query("sees_all_sessions"), row=(bool,))
    return XminHorizon([Holder(*row) for row in await reader.rows(query("xmin_horizon"), row=Holder)], sees_all)


def warnings(horizon: XminHorizon) -> list[str]:
    """Warnings for a plan of VACUUM."""
    old = [holder for holder in horizon.holders if holder.is_old]
    if not old:
        return []
    more = f" and {len(old) - 1} more" if len(old) > 1 else ""
    unsure = "" if horizon.is_complete else "; sessions of other roles are not visible"
    return [f"newer dead rows are held back by {old[0].text}{more}{unsure}"]
