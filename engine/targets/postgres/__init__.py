"""PostgreSQL databases as targets. Imported only where one is used: it needs the driver, psycopg."""
