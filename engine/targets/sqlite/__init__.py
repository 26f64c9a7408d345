"""SQLite files as targets."""
