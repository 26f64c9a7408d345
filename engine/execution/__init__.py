"""Workers: claim a child, run its steps, report, recover after a crash."""
