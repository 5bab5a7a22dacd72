"""Settings: base and databases are common; dev, test and production are what a process names."""
