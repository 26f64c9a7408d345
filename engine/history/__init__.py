"""What earlier jobs say: estimates, trends, checks, backups, retention."""
