-- The databases of the server that hold data of users.
-- The server shows only those on which the user has a right.
SELECT schema_name FROM information_schema.schemata
WHERE schema_name NOT IN ('information_schema', 'mysql', 'ndbinfo', 'performance_schema', 'sys') ORDER BY 1
