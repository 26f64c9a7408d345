-- The collations whose version has changed since indexes were built by them, and which indexes these are.
-- A collation without a current version counts as unchanged. What an expression or a condition compares by is not among
-- the collations of an index, and is found in its tree.
WITH drifted AS (
    SELECT c.oid, n.nspname, c.collname, pg_collation_actual_version(c.oid) AS version,
        format('ALTER COLLATION %I.%I REFRESH VERSION', n.nspname, c.collname) AS command,
        pg_has_role(c.collowner, 'USAGE') AS may
    FROM pg_collation AS c JOIN pg_namespace AS n ON n.oid = c.collnamespace
    WHERE c.collversion IS NOT NULL AND c.collversion <> pg_collation_actual_version(c.oid)
    -- if from_15
    UNION ALL
    SELECT c.oid, '', '', pg_database_collation_actual_version(d.oid),
        format('ALTER DATABASE %I REFRESH COLLATION VERSION', d.datname), pg_has_role(d.datdba, 'USAGE')
    FROM pg_collation AS c
    JOIN pg_database AS d ON d.datname = current_database()
        AND d.datcollversion <> pg_database_collation_actual_version(d.oid)
    WHERE c.collprovider = 'd'
    -- end
    ),
ours AS (
    SELECT x.* FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid
    WHERE i.relkind = 'i' AND i.relpersistence <> 't')
SELECT d.nspname, d.collname, d.version, d.command, d.may,
    ARRAY(SELECT x.indexrelid::int8 FROM ours AS x WHERE {uses_collation} ORDER BY x.indexrelid),
    ARRAY(SELECT pg_relation_filenode(x.indexrelid)::int8 FROM ours AS x WHERE {uses_collation} ORDER BY x.indexrelid),
    ARRAY(SELECT n.nspname || '.' || c.relname FROM pg_partitioned_table AS p JOIN pg_class AS c ON c.oid = p.partrelid
        JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE p.partstrat = 'r' AND d.oid = ANY (p.partcollation::oid[]) ORDER BY 1)
FROM drifted AS d
