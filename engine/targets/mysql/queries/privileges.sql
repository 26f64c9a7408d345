-- The rights of the user: on all databases, on this one, and on its tables.
SELECT privilege_type, '', '' FROM information_schema.user_privileges WHERE grantee = %s
UNION ALL SELECT privilege_type, table_schema, '' FROM information_schema.schema_privileges
WHERE grantee = %s AND DATABASE() LIKE table_schema
UNION ALL SELECT privilege_type, table_schema, table_name FROM information_schema.table_privileges
WHERE grantee = %s AND table_schema = DATABASE()
