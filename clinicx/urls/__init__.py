"""What answers where: tenant on a clinic's host, public on the base domain."""
