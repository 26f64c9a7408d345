"""What the catalog of a MariaDB or MySQL server says."""
