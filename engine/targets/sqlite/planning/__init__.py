"""What an operation would do: its steps, what they take, and what speaks against it."""
