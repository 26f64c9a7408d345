"""What a database needs, and why."""
