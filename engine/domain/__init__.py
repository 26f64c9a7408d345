"""Values and pure functions that everything else speaks in: requests, statuses, jobs, plans, errors."""
