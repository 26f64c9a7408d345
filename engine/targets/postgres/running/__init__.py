"""Carrying out a step: its statement, how far it is, what it did, what it left."""
