"""Many databases at once: patterns that stand for them, batches of jobs, the survey of what each needs."""
