"""What `tide.row_schema_of_table` says of a table holds for its rows as triggers publish them."""

import json

from fix_sql import Ring
from pg_tide_wire_formats.connect_types import Modes
from pg_tide_wire_formats.documents import parse
from pg_tide_wire_formats.row_schema import Rows

TYPES = """
boolean           true
smallint          1
integer           2
bigint            9223372036854775807
real              1.5
double precision  'NaN'
numeric           1.10
numeric(10,2)     -1.1
text              'x'
varchar(20)       'x'
char(3)           'x'
bpchar            'x'
name              'x'
uuid              gen_random_uuid()
json              '[1]'
jsonb             '{"a": 1}'
bytea             '\\x00ff'
date              '2024-02-29'
time(3)           '12:00'
timetz            '12:00+02'
timestamp(3)      '2024-02-29 12:00:00.5'
timestamptz       '2024-02-29 12:00:00.5+02'
interval          '1 mon 2 days 03:00'
inet              '::1'
cidr              '10.0.0.0/8'
macaddr           '08:00:2b:01:02:03'
macaddr8          '08:00:2b:01:02:03:04:05'
oid               4294967295
tsvector          'a b'
int4range         '[1,2)'
tstzrange         '[,]'
bit(3)            '101'
money             1.5
point             '(1,2)'
state             'new'
price             1.125
place             row(1)
"""
"""A type, and an expression for a value of it."""
NEGATIVE_SCALE_FROM = 150000
"""The first server_version_num that has numeric(5,-2)."""


def test_rows_fit_what_is_said_of_their_table(ring: Ring) -> None:
    """A column of every type as to_jsonb writes it, and one of arrays of it."""
    run = ring.connection.execute
    run("create type state as enum ('new'); create domain price as numeric(7,3)")
    run("create type place as (shop integer)")
    types = [(line[:18].strip(), line[18:]) for line in TYPES.strip().splitlines()]
    if ring.connection.info.server_version >= NEGATIVE_SCALE_FROM:
        types.append(("numeric(5,-2)", "123400"))
    types += [(f"{name}[]", f"array[{value}, null]::{name}[]") for name, value in types]
    columns = ", ".join(f"c{number} {name}" for number, (name, _) in enumerate(types))
    run(f"create table every_type ({columns})".encode())
    run(f"insert into every_type values ({', '.join(value for _, value in types)})".encode())
    told = ring.value("select tide.row_schema_of_table('every_type')")
    assert ring.value("select tide._row_schema_checked('orders', %s, '')", json.dumps(told)) == told
    rows = Rows([(column["name"], column["type"]) for column in told], Modes())
    document = ring.value("select to_jsonb(e)::text from every_type e")
    assert len(rows.convert(parse(document.encode()))) == len(types)
    assert len(rows.compile_reader(as_json=False)(document.encode())) == len(types)
