"""The migrations with two tables more, and three foreign keys."""
