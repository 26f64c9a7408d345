"""What a database says of itself: queries, and their rows as values."""
