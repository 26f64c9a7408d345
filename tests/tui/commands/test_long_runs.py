"""What a run on many targets keeps of those that are over."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.tui.command_line import CommandLine

A_VIEW_THAT_COUNTS = """
import gc, sys
from pathlib import Path
from engine import Operation, ParentJob, Request, StoreLocation
from tui.commands.foreground import Foreground, carry_out
from tui.commands.views import View

shown, kept = [], []

class Counting(View):
    def show(self, jobs):
        gc.collect()
        ended = [job.id for job in jobs if job.status.is_final]
        jobs = [job for job in gc.get_objects() if isinstance(job, ParentJob)]
        shown.append(ended)
        kept.append(sum(job.status.is_final for job in jobs) - len(ended))

async def submit(engine):
    requests = [Request(target=each, operations=(Operation.ANALYZE,)) for each in sys.argv[2:]]
    return await engine.submit(requests)

done, code = carry_out(Foreground(store=StoreLocation(Path(sys.argv[1]))), submit, Counting())
*during, at_the_end = shown
assert sorted(sum(during, [])) == at_the_end == [job.id for job in done], shown
assert kept[:-1] == [0] * len(during), kept
sys.exit(code)
"""


def test_a_run_keeps_no_job_that_is_over(dbtend: CommandLine, sales: Path) -> None:
    targets = [sales.with_name(f"t{n}.db") for n in range(6)]
    for target in targets:
        target.write_bytes(sales.read_bytes())
    said = subprocess.run(
        [sys.executable, "-c", A_VIEW_THAT_COUNTS, dbtend.store, *targets], capture_output=True, text=True, check=False
    )
    assert (said.returncode, said.stderr) == (0, "")
