-- The first rowid after a gap that VACUUM would close.
SELECT (SELECT max(c.{rowid}) FROM {table} AS c WHERE c.{rowid} < a.{rowid}) + 1 FROM {table} AS a
WHERE a.{rowid} > 1 AND NOT EXISTS (SELECT 1 FROM {table} AS b WHERE b.{rowid} = a.{rowid} - 1)
ORDER BY a.{rowid} LIMIT 1
