-- The threshold of autovacuum for a table.
{setting autovacuum_{1}_threshold} + {setting autovacuum_{1}_scale_factor} * greatest(c.reltuples, 0)
