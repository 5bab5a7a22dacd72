"""Templates of a tenant's own."""
