"""Who may come in, and as what: operators in the public schema, staff in each clinic's."""
