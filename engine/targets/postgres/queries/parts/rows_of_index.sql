-- The rows in an index i of the kind am, on a table t, by the catalog.
-- After a rebuild a GIN index counts words.
CASE am.amname WHEN 'gin' THEN t.reltuples ELSE i.reltuples END
