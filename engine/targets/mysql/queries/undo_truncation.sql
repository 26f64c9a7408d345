-- Whether and from which size on MariaDB truncates its undo tablespaces, and how many it has.
SELECT CAST(@@GLOBAL.innodb_undo_log_truncate AS SIGNED), CAST(@@GLOBAL.innodb_undo_tablespaces AS SIGNED),
    CAST(@@GLOBAL.innodb_max_undo_log_size AS SIGNED)
