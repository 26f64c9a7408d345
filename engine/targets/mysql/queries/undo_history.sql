-- The length of the history list: how many transactions the server may still have to undo or to show.
-- if mariadb
SELECT CAST(variable_value AS SIGNED) FROM information_schema.global_status
WHERE variable_name = 'Innodb_history_list_length'
-- else
SELECT CAST(count AS SIGNED) FROM information_schema.innodb_metrics WHERE name = 'trx_rseg_history_len'
-- end
