"""What is loaded where the processes of sandboxes are forked: it outlives a SIGTERM to its group."""

import signal

import headrace.transform.sandbox  # noqa: F401 - each process has it then without reading it again

signal.signal(signal.SIGTERM, signal.SIG_IGN)
