"""What needs which operation, and why."""
