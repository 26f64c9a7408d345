"""What the operating system offers: locks, files, mounts, clock, threads."""
