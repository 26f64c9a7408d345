-- What VACUUM would silently drop.
-- Of objects with pages of their own it copies only those whose SQL starts with CRE.
SELECT name FROM main.sqlite_schema WHERE rootpage > 0 AND sql NOT GLOB 'CRE*'
