-- A setting of autovacuum for a table. A subselect reads that of the server once, instead of once per table.
coalesce((opt ->> '{1}')::float8, (SELECT current_setting('{1}')::float8))
