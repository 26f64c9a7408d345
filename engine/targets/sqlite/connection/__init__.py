"""Connections to SQLite: statements that stop when asked, errors in words, names as SQL."""
