"""The registry: who the clinic's patients are, and finding one."""
