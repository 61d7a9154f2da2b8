"""Avro <-> Arrow: which schema a topic has, and how its messages become rows and back."""

from headrace.stream.codec.codec import Codec, Decoded
from headrace.stream.codec.conform import conform
from headrace.stream.codec.schema import avro_schema
from headrace.stream.codec.wire import BAD_BYTES, schema_id_of

__all__ = ["BAD_BYTES", "Codec", "Decoded", "avro_schema", "conform", "schema_id_of"]
