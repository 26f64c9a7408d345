"""What holds for all tests."""

from __future__ import annotations

import os

# With it a process never has output left that it cannot write any more, as it has everywhere else.
os.environ.pop("PYTHONUNBUFFERED", None)
