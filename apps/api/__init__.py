"""What the API's resources have in common, whichever noun they are about."""
