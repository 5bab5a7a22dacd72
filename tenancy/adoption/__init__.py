"""Coming from stock django-tenants: its code on our backend, its databases with our roles."""
