-- The partitions of each partitioned table or index.
-- Children that inherit without being a partition are left out: each is a table of its own.
SELECT h.inhparent::int8, h.inhrelid::int8 FROM pg_inherits AS h JOIN pg_class AS c ON c.oid = h.inhrelid
WHERE c.relispartition
