-- Indexes of tables and of TOAST tables: all, or those with some oids and all that are invalid.
-- Tables and TOAST tables are joined apart: with an OR in the join the query would be slow.
{indexes_where main.oid = t.oid AND t.relkind <> 't'}
UNION ALL
{indexes_where main.reltoastrelid = t.oid AND t.relkind = 't'}
ORDER BY 5, 6, 12, 3
