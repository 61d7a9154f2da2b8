"""The calls, by what they are about. `headrace.client.method` tells how a description becomes a method of both clients."""
