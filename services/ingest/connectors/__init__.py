"""The sources that ingest can read, a folder each, registered by entry points as those of other packages are."""
