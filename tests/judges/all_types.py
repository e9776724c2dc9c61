"""A column of every type that a row schema knows, with values that are easy to get wrong, as PostgreSQL reads them."""

from typing import Any, LiteralString, cast

import psycopg
from psycopg import sql

TIMES = ("00:00:00", "24:00:00", "23:59:59.999999", "12:34:56.1234", "00:00:00.0005")
TIMESTAMPS = (
    "1970-01-01 00:00:00",
    "2026-01-31 09:15:00.123456",
    "1969-12-31 23:59:59.9999",
    "infinity",
    "-infinity",
    "0001-01-01 00:00:00",
    "0044-03-15 12:00:00.5 BC",
    "4713-01-01 00:00:00 BC",
    "10000-01-01 00:00:00",
    "294276-12-31 23:59:59",
    "1582-10-10 00:00:00",
    "1500-03-01 00:00:00",
    "2262-04-11 23:47:16.854775",
    "2262-04-12 00:00:00",
)
DECIMALS = ("NaN", "0", "-0.00")
TEXTS = ("", "Größe 🌊", '"quoted" \\ \n\t\x01\x7f\u2028', "null", "  spaces  ")

TYPES: dict[str, tuple[str, ...]] = {
    "boolean": ("true", "false"),
    "smallint": ("0", "-32768", "32767"),
    "integer": ("0", "-2147483648", "2147483647"),
    "bigint": ("0", "-9223372036854775808", "9223372036854775807", "9007199254740993"),
    "oid": ("0", "4294967295"),
    "real": ("0.1", "-0", "3.4028235e38", "1e-45", "16777217", "1e10", "NaN", "Infinity", "-Infinity"),
    "double precision": (
        "0.1",
        "-0",
        "1.7976931348623157e308",
        "5e-324",
        "1e22",
        "NaN",
        "Infinity",
        "-Infinity",
    ),
    "numeric(10,2)": ("1.10", "-99999999.99", *DECIMALS),
    "numeric(38,10)": ("-9999999999999999999999999999.9999999999", "0.0000000001", "1", *DECIMALS),
    "numeric(38,0)": ("99999999999999999999999999999999999999", "-128", "127", "128", *DECIMALS),
    "numeric(5)": ("-99999", "12", "0"),
    "numeric(2,5)": ("0.00099", "-0.00001"),
    "numeric(3,-2)": ("99900", "-100", "0"),
    "numeric": (
        "1.10",
        "1e-20",
        "1e30",
        "100",
        "123456789012345678901234567890.123456789",
        "-0.000",
        "NaN",
        "Infinity",
        "-Infinity",
    ),
    "text": TEXTS,
    "character varying": TEXTS,
    "character varying(10)": ("ä", "0123456789"),
    "character(5)": ("ä", "", "12345"),
    "name": ("ä", ""),
    "citext": TEXTS,
    "uuid": ("00112233-4455-6677-8899-AABBCCDDEEFF", "00000000-0000-0000-0000-000000000000"),
    "json": (
        '{"b": 1.10, "a": [1, null, "ä"]}',
        '{"a":1,   "a":2}',
        "null",
        '"text"',
        "1.10",
        "[]",
        "12345678901234567890.5",
    ),
    "jsonb": (
        '{"b": 1.10, "a": [1, null, "ä🌊"]}',
        "null",
        '"te\\nxt\\u0001"',
        "1.10",
        "[]",
        "123456789012345678901234567890.5",
    ),
    "xml": ("<a b='ä'>&lt;</a>", "text only"),
    "bytea": ("\\x", "\\xdeadbeef", "\\x00ff80fbef"),
    "date": (
        "1970-01-01",
        "1969-12-31",
        "0001-01-01",
        "0044-03-15 BC",
        "4713-01-01 BC",
        "9999-12-31",
        "10000-01-01",
        "5874897-12-31",
        "1582-10-10",
        "1500-03-01",
        "infinity",
        "-infinity",
    ),
    "time without time zone": TIMES,
    "time(0) without time zone": TIMES,
    "time(3) without time zone": TIMES,
    "time(4) without time zone": TIMES,
    "time with time zone": (
        "12:34:56.123456+02",
        "00:00:00+15:59",
        "23:59:59-15:59:59",
        "24:00:00+00",
        "24:00:00+01",
        "12:00:00.5-00:30",
    ),
    "time(2) with time zone": ("12:34:56.123456+02",),
    "timestamp without time zone": TIMESTAMPS,
    "timestamp(0) without time zone": TIMESTAMPS,
    "timestamp(2) without time zone": TIMESTAMPS,
    "timestamp(3) without time zone": TIMESTAMPS,
    "timestamp(5) without time zone": TIMESTAMPS,
    "timestamp with time zone": (
        *(
            value.replace(" BC", "Z BC") if "BC" in value else value + "Z"
            for value in TIMESTAMPS
            if "inf" not in value
        ),
        "infinity",
        "-infinity",
        "2026-01-31 09:15:00.5+05:30",
        "0001-01-01 00:00:00+01",
        "10000-01-01 00:00:00+01",
    ),
    "timestamp(0) with time zone": ("2026-01-31 09:15:00.55+05:30",),
    "timestamp(1) with time zone": ("2026-01-31 09:15:00.55+05:30", "2026-01-31 09:15:00Z"),
    "interval": (
        "0",
        "1 year 2 mons 3 days 04:05:06.789",
        "-1 mon -2 days -03:04:05.5",
        "1 mon -1 day",
        "-00:00:00.000001",
        "1 mon -00:00:00.000001",
        "-13 mons",
        "7 mons 11:11:11.111111",
        "100:00:00",
        "292000 years",
        "178000000 years",
        "infinity",  # since PostgreSQL 17
    ),
    "interval(3)": ("1 day 02:03:04.567891",),
    "interval year to month": ("14 mons",),
    "interval day to second(3)": ("1 day 02:03:04.567891",),
    "inet": ("127.0.0.1", "10.1.2.3/8", "::1", "2001:db8::/32"),
    "cidr": ("10.0.0.0/8", "127.0.0.1", "2001:db8::/32"),
    "macaddr": ("08:00:2b:01:02:03",),
    "macaddr8": ("08:00:2b:01:02:03:04:05",),
    "int4range": ("[1,5]", "empty", "(,)", "[,7)"),
    "int8range": ("[1,9223372036854775807)", "empty"),
    "numrange": ("(1.10,2.50]", "empty"),
    "tsrange": ('["2026-01-31 09:15:00.5","0010000-01-01 00:00:00")', "(,infinity]", "empty"),
    "tstzrange": ('["2026-01-31 09:15:00.5+02",)', "empty"),
    "daterange": ("[2026-01-31,2026-02-02]", "empty"),
    "tsvector": ("'a':1A 'b c':2,3B", ""),
    "ltree": ("a.b.c", ""),
}
"""Type as format_type writes it → values. What a server does not know (extensions) is left out there."""

ARRAYS: dict[str, tuple[str, ...]] = {
    "boolean": ("{t,f,NULL}",),
    "smallint": ("{-32768,NULL,32767}",),
    "integer": ("{1,NULL}", "{{1,2},{3,4}}", "[0:1]={1,2}"),
    "bigint": ("{9223372036854775807,NULL}",),
    "oid": ("{4294967295,NULL}",),
    "real": ("{0.1,NULL,NaN,-Infinity,-0}",),
    "double precision": ("{0.1,NULL,NaN,Infinity,-0}",),
    "numeric(10,2)": ("{1.10,NULL,-2.00}", "{NaN}"),
    "numeric": ("{1.10,NULL,1e30,100}", "{NaN}", "{1,Infinity}"),
    "text": ('{"a b","",NULL,"NULL","\\"q\\\\","ä🌊"}',),
    "character varying(10)": ("{a,NULL}",),
    "character(3)": ("{a,NULL}",),
    "name": ("{a,NULL}",),
    "citext": ("{a,NULL}",),
    "uuid": ("{00112233-4455-6677-8899-AABBCCDDEEFF,NULL}",),
    "json": ('{"{\\"b\\": 1.10}",NULL}', '{"{\\"b\\":1.10}"}', '{"null"}'),
    "jsonb": ('{"{\\"b\\": [1.10, null], \\"ä\\": \\"\\\\u0001\\"}",NULL}', '{"null"}'),
    "xml": ("{<a/>,NULL}",),
    "bytea": ('{"\\\\xdeadbeef","\\\\x",NULL}',),
    "date": ("{2026-01-31,NULL,1969-12-31}", '{"0044-03-15 BC"}', "{infinity}"),
    "time without time zone": ("{12:34:56.123456,NULL}", "{24:00:00}", "{12:34:56.123}"),
    "time(3) without time zone": ("{12:34:56.123456,NULL}",),
    "time with time zone": ("{12:34:56.123456+02,NULL}", "{24:00:00+00}"),
    "timestamp without time zone": (
        '{"2026-01-31 09:15:00.123456",NULL}',
        '{"0044-03-15 00:00:00 BC"}',
        "{infinity}",
    ),
    "timestamp(3) without time zone": ('{"2026-01-31 09:15:00.123456",NULL}',),
    "timestamp with time zone": (
        '{"2026-01-31 09:15:00.123456+02",NULL}',
        '{"2026-01-31 09:15:00.5+02","2026-01-31 09:15:00+02"}',
        '{"0044-03-15 00:00:00Z BC"}',
        "{infinity}",
    ),
    "interval": ('{"1 day 02:03:04",NULL}',),
    "inet": ("{127.0.0.1,NULL}",),
    "cidr": ("{10.0.0.0/8,NULL}",),
    "macaddr": ("{08:00:2b:01:02:03,NULL}",),
    "macaddr8": ("{08:00:2b:01:02:03:04:05,NULL}",),
    "int4range": ('{"[1,5)",NULL}',),
    "int8range": ('{"[1,5)",NULL}',),
    "numrange": ('{"[1.1,5)",NULL}',),
    "tsrange": ('{"[\\"2026-01-31 09:15:00\\",)",NULL}',),
    "tstzrange": ('{"[\\"2026-01-31 09:15:00+02\\",)",NULL}',),
    "daterange": ('{"[2026-01-31,)",NULL}',),
    "tsvector": ("{\"'a':1 'b':2\",NULL}",),
    "ltree": ("{a.b,NULL}",),
}
"""The same for arrays; each has an empty one, too."""

OF_SOME_SERVERS = {"citext", "citext[]", "ltree", "ltree[]", "xml", "xml[]", "interval"}
"""Extensions, parts that a build may lack, and values of newer versions."""

COLUMNS = TYPES | {f"{kind}[]": (*values, "{}") for kind, values in ARRAYS.items()}


def rows(types: list[str]) -> list[dict[str, str]]:
    """The values as rows, one of every column while it has any; the last row has nothing but nulls."""
    count = max(len(COLUMNS[each]) for each in types)
    return [{each: COLUMNS[each][n] for each in types if n < len(COLUMNS[each])} for n in range(count)] + [{}]


def type_named(name: str) -> sql.SQL:
    """A type of this file in a statement."""
    assert name in COLUMNS
    return sql.SQL(cast(LiteralString, name))


class EveryType:
    """A table with a column of every type that the server has, named after it."""

    def __init__(self, connection: psycopg.Connection[Any], name: str) -> None:
        self._connection, self._name = connection, sql.Identifier(name)
        for extension in ("citext", "ltree"):
            if self._value("select count(*) from pg_available_extensions where name = %s", extension):
                connection.execute(sql.SQL("create extension {}").format(sql.Identifier(extension)))
        types = [each for each in COLUMNS if self._takes(each, None)]
        values = [
            {each: text for each, text in row.items() if self._takes(each, text)} for row in rows(types)
        ]
        columns = [sql.SQL("{} {}").format(sql.Identifier(each), type_named(each)) for each in types]
        create = sql.SQL("create table {} (id bigint primary key, {})")
        connection.execute(create.format(self._name, sql.SQL(", ").join(columns)))
        insert = sql.SQL("insert into {} ({}) values ({})")
        self.inserts = [
            insert.format(
                self._name,
                sql.SQL(", ").join(map(sql.Identifier, ["id", *row])),
                sql.SQL(", ").join(map(sql.Literal, [str(number), *row.values()])),
            ).as_string(connection)
            for number, row in enumerate(values)
        ]

    def payloads(self) -> list[dict[str, str]]:
        """What to_jsonb says of each column of each row."""
        query = sql.SQL(
            "select (select jsonb_object_agg(key, value::text) from jsonb_each(to_jsonb(t))) from {} t order by id"
        )
        return [row for (row,) in self._connection.execute(query.format(self._name))]

    def row_schema(self) -> list[dict[str, str]]:
        """The columns as the catalogue has them."""
        return list(self._value("select tide.row_schema_of_table(%s::regclass)", self._name.as_string()))

    def _value(self, query: LiteralString, *parameters: object) -> Any:
        row = self._connection.execute(query, parameters).fetchone()
        assert row
        return row[0]

    def _takes(self, type_name: str, text: str | None) -> bool:
        cast = sql.SQL("select {}::{}").format(sql.Literal(text), type_named(type_name))
        try:
            self._connection.execute(cast)
        except psycopg.Error:
            assert type_name in OF_SOME_SERVERS, f"{text} is no {type_name}"
            return False
        return True
