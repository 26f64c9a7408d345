-- The views of the database.
SELECT table_name FROM information_schema.views WHERE table_schema = DATABASE()
