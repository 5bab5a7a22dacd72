"""
A PostgreSQL schema for every tenant, bound to the transaction and never to the session.

Nothing is imported here: the database backend loads before the app registry is ready.
"""
