"""What reads the catalog and the statistics of a server, a file for each query: see `engine/targets/queries.py`."""

from pathlib import Path

from engine.targets.queries import queries_in

query = queries_in(Path(__file__).parent)
