"""The record of jobs: a SQLite file, or PostgreSQL for many hosts."""
