"""Runs the steps of operations on MariaDB and MySQL."""
