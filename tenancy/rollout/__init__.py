"""Bringing schemas to the state of the code: who is behind, and migrating them."""
