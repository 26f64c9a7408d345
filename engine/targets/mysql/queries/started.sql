-- When the server was started, in seconds since 1970.
SELECT CAST(UNIX_TIMESTAMP(NOW()) - variable_value AS SIGNED) FROM {status_schema}.global_status
WHERE variable_name = 'Uptime'
