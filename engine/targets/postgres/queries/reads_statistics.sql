-- Whether the role may read all statistics of columns.
SELECT has_table_privilege('pg_catalog.pg_statistic', 'SELECT')
