"""The composition of the product: the only package that knows everyone."""
