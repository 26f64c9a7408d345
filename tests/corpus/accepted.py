"""Where dbtend does something else than SQLite's own statement for it, and why that may be so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from engine.domain.requests import Operation

_ONE_BY_ONE: Final = "what is in the schema is rebuilt index by index; SQLite stumbles over the one that is not there"
_NAME_OF_A_LOG: Final = "SQLite would take the copy for a log or journal and remove it; another name is asked for"
ACCEPTED: Final[Mapping[tuple[Operation, str], str]] = {
    (Operation.REINDEX, "schema: a constraint without its index"): _ONE_BY_ONE,
    (Operation.REINDEX, "schema: a key without its index"): _ONE_BY_ONE,
    (Operation.VACUUM, "schema: a virtual table with a root page"): "two trees have one page, which no check tells",
    (Operation.BACKUP, "file 'a.db-journal'"): _NAME_OF_A_LOG,
    (Operation.BACKUP, "file 'a.db-wal'"): _NAME_OF_A_LOG,
    (Operation.REINDEX, "free page in use"): (
        "no harm is seen before all pages have been walked, which would cost a quarter of the time of every REINDEX: "
        "SQLite finds it by chance at the second index and takes all back, while the first one is kept here. "
        "`verify` looks before anything is written"
    ),
}
