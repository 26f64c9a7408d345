"""Where dbtend does something else than SQLite's own statement for it, and why that may be so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from engine.jobs import Operation

_ONE_BY_ONE: Final = "what is in the schema is rebuilt index by index; SQLite stumbles over the one that is not there"
_NOT_NAMED: Final = "a name that is no UTF-8 cannot be said in SQL from Python; the other indexes are rebuilt"

ACCEPTED: Final[Mapping[tuple[Operation, str], str]] = {
    (Operation.REINDEX, "schema: a constraint without its index"): _ONE_BY_ONE,
    (Operation.REINDEX, "schema: a key without its index"): _ONE_BY_ONE,
    (Operation.REINDEX, "an index that is no UTF-8"): _NOT_NAMED,
    (Operation.REINDEX, "a surrogate"): _NOT_NAMED,
    (Operation.REINDEX, "free page in use"): (
        "no harm is seen before all pages have been walked, which would cost a quarter of the time of every REINDEX: "
        "SQLite finds it by chance at the second index and takes all back, while the first one is kept here. "
        "`verify` looks before anything is written"
    ),
}
