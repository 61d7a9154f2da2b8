"""The program `headrace`, on top of the SDK."""
