-- Whether each of these indexes is invalid and no session works on it.
SELECT x.indexrelid::int8, NOT x.indisvalid AND {not_in_work} FROM pg_index AS x WHERE x.indexrelid = ANY (%s::oid[])
