"""What the local warehouse is: ClickHouse's HTTP protocol over an engine that lives in this one process.

Clients use it exactly as they use a ClickHouse server. What it does not do, it refuses by name: sessions (every
request stands alone), external data, SQL users and roles.
"""
