"""The migrations of the fleet that lacks none."""
