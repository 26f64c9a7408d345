-- Where the status of the server is.
-- if mariadb
information_schema
-- else
performance_schema
-- end
