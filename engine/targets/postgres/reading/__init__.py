"""Queries of the catalog, and their rows as values."""
