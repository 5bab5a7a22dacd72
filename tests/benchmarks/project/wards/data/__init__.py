"""The migrations with a function of Python that saves every row."""
