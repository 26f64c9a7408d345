"""The process that delivers one message: secrets live here and nowhere else, and it can be killed at any time."""
