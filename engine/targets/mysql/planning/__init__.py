"""Plans of operations on MariaDB and MySQL."""
