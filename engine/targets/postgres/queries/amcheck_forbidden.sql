-- The functions of amcheck that the role may not execute.
SELECT p.oid::regprocedure::text FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
WHERE n.nspname = %s AND NOT has_function_privilege(p.oid, 'EXECUTE')
    AND (p.proname = 'verify_heapam' OR p.proname = 'bt_index_check' AND p.pronargs = 2) ORDER BY 1
