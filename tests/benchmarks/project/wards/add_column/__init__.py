"""The migrations with a column more, and its index."""
