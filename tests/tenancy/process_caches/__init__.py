"""What is a process asked that has django-tenants below it, and one that has tenancy?"""
