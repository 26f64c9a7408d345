-- The size of the database, its tables, dead rows and age.
SELECT pg_database_size(current_database()), count(*) FILTER (WHERE n.nspname !~ '^(pg_|information_schema$)'),
    coalesce(sum(pg_stat_get_dead_tuples(c.oid)), 0)::int8,
    (SELECT age(datfrozenxid) FROM pg_database WHERE datname = current_database())
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm', 'p') AND n.nspname !~ '^(pg_catalog|pg_toast|information_schema)$'
