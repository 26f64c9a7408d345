-- The extensions that advice makes use of, each with its schema.
SELECT e.extname, n.nspname FROM pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace
WHERE e.extname IN ('amcheck', 'pgstattuple')
