"""What reads the schema and the statistics of a file, a file for each query: see `engine/targets/queries.py`.

A database can have a table or a view with the name of a table-valued function, and SQLite would take that. So each of
these is looked for in `temp`, where nothing is that we have not made, and each table in `main`. `table_list` is not
used at all: it compiles every view of the database, and a dozen views that stand on each other take it a minute.
"""

from pathlib import Path

from engine.targets.queries import queries_in

query = queries_in(Path(__file__).parent)
