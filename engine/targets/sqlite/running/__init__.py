"""Carrying out a step, telling how far it is, and what it has changed."""
