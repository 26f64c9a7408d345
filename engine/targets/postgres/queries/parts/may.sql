-- Whether the role may maintain a table.
-- if before_17
(pg_has_role({1}.relowner, 'USAGE') OR NOT {1}.relisshared
    AND pg_has_role((SELECT datdba FROM pg_database WHERE datname = current_database()), 'USAGE'))
-- else
(current_setting('is_superuser')::bool OR has_table_privilege({1}.oid, 'MAINTAIN'))
-- end
