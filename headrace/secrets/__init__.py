"""Credentials: named in a dataset file, sealed under a master key, opened only where they are used. No I/O but the key file."""
