"""Worker processes: the pool, the detached one, those of one run."""
