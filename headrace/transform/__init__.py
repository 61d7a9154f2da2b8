"""The engine: what a dataset's SQL and its checks make of a batch of rows, in a DuckDB that can do nothing else."""
