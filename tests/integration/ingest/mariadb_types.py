"""A column of every type of MariaDB, a row of them, and what is read of it."""

import datetime as dt
from decimal import Decimal

import pytest

TYPES = """
    id bigint unsigned PRIMARY KEY, tiny tinyint, utiny tinyint unsigned, small smallint, medium mediumint, long_ int,
    ulong int unsigned, big bigint, d decimal(30,10), wide decimal(65,30), whole decimal(20,0) unsigned, f float, db double,
    local datetime(6), instant timestamp(6) NULL, day date, t time(3), y year, bit1 bit(1), bit9 bit(9), bit64 bit(64),
    text_ varchar(20), exact varchar(20) COLLATE utf8mb4_bin, latin varchar(20) CHARACTER SET latin1, fixed char(5),
    bin binary(4), vbin varbinary(10), txt text, blob_ blob, j json, en enum('a','b'), st set('x','y'), u uuid, ip inet6,
    g point"""

VALUES = r"""
    18446744073709551615, -1, 255, -2, -3, -4, 4294967295, -9223372036854775808, 12345678901234567890.1234567891,
    12345678901234567890123456789012345.123456789012345678901234567891, 99999999999999999999, 1.1, 2.2,
    '2024-01-02 03:04:05.123456', '2024-01-02 03:04:05.123456', '2024-01-02', '-100:00:01.5', 2024, b'1', b'101010101',
    b'1' << 63, 'é😀\\\'', 'Ab', 'é', 'ab', x'61620000', x'002778', 'text', x'00ff',
    '{"b":1,"a":12345678901234567890.123}', 'b', 'x,y', '00000000-0000-0000-0000-000000000001', '::1', POINT(1, 2)"""

READ = {
    "id": Decimal(18446744073709551615),
    "tiny": -1,
    "utiny": 255,
    "small": -2,
    "medium": -3,
    "long_": -4,
    "ulong": 4294967295,
    "big": -9223372036854775808,
    "d": Decimal("12345678901234567890.1234567891"),
    "wide": "12345678901234567890123456789012345.123456789012345678901234567891",
    "whole": Decimal(99999999999999999999),
    "f": pytest.approx(1.1),
    "db": 2.2,
    "local": dt.datetime(2024, 1, 2, 3, 4, 5, 123456),
    "instant": dt.datetime(2024, 1, 2, 3, 4, 5, 123456, dt.UTC),
    "day": dt.date(2024, 1, 2),
    "t": "-100:00:01.500",
    "y": 2024,
    "bit1": True,
    "bit9": 341,
    "bit64": Decimal(2**63),
    "text_": "é😀\\'",
    "exact": "Ab",
    "latin": "é",
    "fixed": "ab",
    "bin": b"ab\0\0",
    "vbin": b"\0'x",
    "txt": "text",
    "blob_": b"\0\xff",
    "j": '{"b":1,"a":12345678901234567890.123}',
    "en": "b",
    "st": "x,y",
    "u": "00000000-0000-0000-0000-000000000001",
    "ip": "::1",
    "g": "POINT(1 2)",
}
