-- A number of SHOW GLOBAL STATUS.
SELECT CAST(variable_value AS SIGNED) FROM {status_schema}.global_status WHERE variable_name = %s
