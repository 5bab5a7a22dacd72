"""FHIR R4 in and out: what other systems send, and what of it has no table of ours."""
