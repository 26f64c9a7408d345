"""Schedules: which due time fires, what it starts, and a night planned by its estimates."""
