"""The clinic's nouns."""
