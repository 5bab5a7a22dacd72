"""Who sees patients; when, comes with appointments."""
