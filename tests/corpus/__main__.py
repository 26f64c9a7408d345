"""Every operation on every file of the corpus: python -m tests.corpus [GROUP ...]"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from engine import Engine
from tests.building import SQLITE_OPERATIONS
from tests.corpus.accepted import ACCEPTED
from tests.corpus.judge import complaints_about
from tests.corpus.registry import GROUPS
from tests.corpus.trial import Trial, tried


async def main(groups: list[str]) -> int:
    """How many trials there is something wrong with."""
    wrong = 0
    for group in groups or GROUPS:
        with tempfile.TemporaryDirectory(prefix="dbtend-corpus-") as name:
            directory = Path(name)
            async with Engine.open(directory / "jobs.db", workers=2) as engine:
                wanted = [(case, operation) for case in GROUPS[group] for operation in SQLITE_OPERATIONS]
                trials = await tried(engine, directory, wanted)
            found = {trial.name: list(complaints_about(trial)) for trial in trials if not _is_accepted(trial)}
        for name, complaints in found.items():
            for complaint in complaints:
                print(f"{name}: {complaint}")
        wrong += sum(map(bool, found.values()))
        print(f"{group}: {len(found):,} trials, {sum(map(bool, found.values())):,} wrong")
    return wrong


def _is_accepted(trial: Trial) -> bool:
    return (trial.operation, trial.case.name) in ACCEPTED


if __name__ == "__main__":
    sys.exit(bool(asyncio.run(main(sys.argv[1:]))))
