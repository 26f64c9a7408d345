"""PostgreSQL databases as targets. Imported only where one is used: it needs the driver, psycopg."""

from engine.targets.postgres.target import PostgresTarget

__all__ = ["PostgresTarget"]
