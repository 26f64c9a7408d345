-- What MariaDB tells of the files of this database.
-- It encodes names; the separators mean nothing in that encoding.
SELECT CONVERT(CAST(CAST(REPLACE(REPLACE(name, '/', '@f8ff'), '#', '@f8ff') AS BINARY) AS CHAR CHARACTER SET filename)
    USING utf8mb4) AS path, {1} FROM information_schema.{2}
HAVING LEFT(path, CHAR_LENGTH(DATABASE()) + 1) = CONCAT(DATABASE(), '{separator}')
