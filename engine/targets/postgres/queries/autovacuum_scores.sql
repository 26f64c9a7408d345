-- The table that autovacuum works on first, from PostgreSQL 19 on, and how many it means to work on.
SELECT schemaname, relname, score::float8, count(*) OVER ()
FROM pg_stat_autovacuum_scores WHERE do_vacuum OR do_analyze ORDER BY score DESC LIMIT 1
