"""Sentences, numbers, JSON and pages for both front ends."""
