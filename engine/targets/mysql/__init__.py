"""MariaDB and MySQL databases: one engine for both."""
