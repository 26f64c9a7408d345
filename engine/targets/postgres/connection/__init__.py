"""Connections to a server that are set up for maintenance, and its errors in words."""
