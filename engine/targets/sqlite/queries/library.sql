-- The version of SQLite, and what a connection of it is set to.
SELECT sqlite_version(), synchronous, secure_delete
FROM temp.pragma_synchronous('main'), (SELECT secure_delete FROM temp.pragma_secure_delete)
