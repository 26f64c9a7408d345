"""The whole corpus."""

from __future__ import annotations

from typing import Final

from tests.corpus import contents, damage, files, leftovers, missing_code, names, schemas, storage
from tests.corpus.case import Case

GROUPS: Final[dict[str, tuple[Case, ...]]] = {
    module.__name__.rpartition(".")[2]: module.CASES
    for module in (storage, schemas, names, missing_code, contents, damage, leftovers, files)
}
CORPUS: Final[tuple[Case, ...]] = tuple(case for group in GROUPS.values() for case in group)
