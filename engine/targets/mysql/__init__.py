"""MariaDB and MySQL databases as targets: one engine for both. Imported only where one is used: it needs PyMySQL."""
