"""A request becomes a parent job with its children."""
