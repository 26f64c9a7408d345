-- A publication of all tables.
SELECT pubname FROM pg_publication WHERE puballtables ORDER BY 1 LIMIT 1
