-- Whether the role may create in a tablespace: every role may in that of its database.
SELECT has_tablespace_privilege(oid, 'CREATE')
    OR oid = (SELECT d.dattablespace FROM pg_database AS d WHERE d.datname = current_database())
FROM pg_tablespace WHERE spcname = %s
