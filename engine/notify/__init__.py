"""Telling people: events from jobs that ended, one message per night and recipient, and its delivery."""
