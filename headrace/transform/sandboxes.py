"""What is loaded where the processes of sandboxes are forked: it outlives a SIGTERM to its group."""

import signal

import pyarrow as pa

import headrace.transform.sandbox  # noqa: F401 - each process has it then without reading it again

pa.array([None])  # and so what pyarrow imports for its first array, which takes a second or more on a slow core
signal.signal(signal.SIGTERM, signal.SIG_IGN)
