"""The config file: its model, reading it, changing it."""
