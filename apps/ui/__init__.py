"""The look of every page, and what pages of all nouns share."""
