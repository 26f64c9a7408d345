-- How full the leaves of each table and index are. Reads every page.
SELECT count(*), sum(ncell), sum(unused), max(mx_payload) FROM temp.dbstat('main') WHERE pagetype = 'leaf' GROUP BY name
