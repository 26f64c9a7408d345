-- The version of the extension pg_repack, and that of its SQL.
SELECT repack.version(), repack.version_sql()
