"""Headrace: a self-hosted streaming data platform; this package is what its services share and what users import."""
