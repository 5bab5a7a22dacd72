"""ENGINE = "tenancy.backend": every transaction is bound to the active tenant."""
