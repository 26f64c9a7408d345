"""What the machine says of a database file and of itself, without opening the file."""
