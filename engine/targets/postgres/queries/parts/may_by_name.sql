-- Whether the role may maintain a table, and name its index.
{may t} AND (t.relkind <> 't' OR has_schema_privilege(n.oid, 'USAGE'))
