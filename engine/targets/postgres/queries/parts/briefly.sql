-- A lock timeout for this statement alone.
-- One locked table would hold up all.
(SELECT pg_catalog.set_config('lock_timeout', '100ms', true)) AS briefly (set)
