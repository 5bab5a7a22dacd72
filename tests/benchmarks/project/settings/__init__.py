"""One module for each system: what it documents as its setup, and nothing that slows a rival."""
