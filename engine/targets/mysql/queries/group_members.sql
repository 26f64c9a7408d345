-- How many servers of a replication group are not offline.
SELECT COUNT(*) FROM performance_schema.replication_group_members WHERE member_state <> 'OFFLINE'
