"""What would be done: steps, and what preflight says."""
