-- Whether an index does more than to find rows.
x.indisunique OR x.indisexclusion OR x.indisreplident OR i.relispartition
    OR x.indexrelid IN (SELECT k.conindid FROM pg_constraint AS k)
