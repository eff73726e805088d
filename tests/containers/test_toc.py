from __future__ import annotations

import pytest
from etl_runtime.contract import ExitCode
from etl_runtime.faults import Fault
from etl_runtime.toc import Toc, TocEntry, copy_columns, identifiers, quoted, read_toc, relation

from tests.containers.archive_bytes import ENCODING, VERSIONS, Entry, entry_bytes, head_bytes, table, toc_bytes

USERS, USERS_DATA = table(215, "users", "id integer NOT NULL\nemail text")
COMMENT = Entry(
    dump_id=3400, tag="TABLE users", description="COMMENT", definition="COMMENT ON TABLE public.users IS 'x';\n"
)
SEQUENCE = Entry(dump_id=3401, tag="users_id_seq", description="SEQUENCE SET", dependencies=(215, 1215, 7))
BLOBS = Entry(dump_id=3402, tag="BLOBS", description="BLOBS", schema="", filename="blobs.toc")
ENTRIES = (ENCODING, USERS, COMMENT, USERS_DATA, SEQUENCE, BLOBS)


def _read(content: bytes) -> Toc | Fault:
    fault: Fault
    try:
        return read_toc(content)
    except Fault as stopped:
        fault = stopped
    assert fault.code == ExitCode.DATA
    return fault


@pytest.mark.parametrize("version", VERSIONS)
def test_every_supported_version_is_read_whole(version: tuple[int, int, int]) -> None:
    content = toc_bytes(ENTRIES, version)
    toc = read_toc(content)
    sizes = [len(entry_bytes(entry, version)) for entry in ENTRIES]
    starts = [len(content) - sum(sizes[position:]) for position in range(len(sizes))]
    assert (toc.version, toc.archive_version) == (version, ".".join(map(str, version)))
    assert (toc.database, toc.server_version, toc.client_version) == ("marketplace", "17.11", "18.6")
    assert toc.encoding == "UTF8"
    assert toc.entries == tuple(
        TocEntry(
            dump_id=entry.dump_id,
            tag=entry.tag,
            description=entry.description,
            definition=entry.definition,
            copy_statement=entry.copy_statement,
            schema=entry.schema,
            filename=entry.filename,
            start=start,
            end=start + size,
            dependencies=tuple(entry.dependencies),
        )
        for entry, start, size in zip(ENTRIES, starts, sizes, strict=True)
    )
    assert [(entry.tag, entry.columns) for entry in toc.table_data] == [("users", ("id", "email"))]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_table_of_contents_less_no_kind_is_the_same_bytes(version: tuple[int, int, int]) -> None:
    content = toc_bytes(ENTRIES, version)
    assert read_toc(content).changed([], {}) == content


@pytest.mark.parametrize("version", VERSIONS)
def test_a_table_of_contents_less_some_kinds_keeps_the_rest_to_the_byte(version: tuple[int, int, int]) -> None:
    less = read_toc(toc_bytes(ENTRIES, version)).changed({"COMMENT", "BLOBS", "RULE"}, {})
    assert less == toc_bytes([ENCODING, USERS, USERS_DATA, SEQUENCE], version)
    assert [entry.description for entry in read_toc(less).entries] == [
        "ENCODING",
        "TABLE",
        "TABLE DATA",
        "SEQUENCE SET",
    ]


def test_a_comment_goes_with_what_it_is_about_and_no_other_does() -> None:
    large_object = Entry(dump_id=80, tag="4242", description="BLOB METADATA", schema="")
    about = Entry(dump_id=81, tag="LARGE OBJECT 4242", description="COMMENT", schema="", dependencies=(80,))
    table = Entry(dump_id=82, tag="t")
    of_table = Entry(dump_id=83, tag="TABLE t", description="COMMENT", dependencies=(82,))
    content = toc_bytes([ENCODING, large_object, about, table, of_table])
    assert read_toc(content).changed({"BLOB METADATA"}, {}) == toc_bytes([ENCODING, table, of_table])


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("definition", ["", "SELECT 'Zoë', 9;\n", "x" * 70_000])
def test_a_definition_can_be_changed_and_the_rest_stays_to_the_byte(
    version: tuple[int, int, int], definition: str
) -> None:
    toc = read_toc(toc_bytes(ENTRIES, version))
    changed = read_toc(toc.changed([], {SEQUENCE.dump_id: definition}))
    assert [entry.definition for entry in changed.entries] == [
        definition if entry.dump_id == SEQUENCE.dump_id else entry.definition for entry in toc.entries
    ]
    back = {SEQUENCE.dump_id: next(e.definition for e in toc.entries if e.dump_id == SEQUENCE.dump_id)}
    assert changed.changed([], back) == toc_bytes(ENTRIES, version)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_table_of_contents_cut_anywhere_is_refused(version: tuple[int, int, int]) -> None:
    content = toc_bytes(ENTRIES, version)
    assert [cut for cut in range(len(content)) if not isinstance(_read(content[:cut]), Fault)] == []


@pytest.mark.parametrize("version", VERSIONS)
def test_a_changed_byte_anywhere_gives_a_fault_or_a_table_of_contents(version: tuple[int, int, int]) -> None:
    """Never another exception: what reads a hostile file must end as a program ends."""
    content = toc_bytes(ENTRIES, version)
    for position in range(len(content)):
        for value in (0, 1, 0xFF):
            found = _read(content[:position] + bytes([value]) + content[position + 1 :])
            if isinstance(found, Toc):
                _ = (found.encoding, found.archive_version, found.changed({"COMMENT"}, {}))


def test_bytes_after_the_last_entry_are_refused() -> None:
    with pytest.raises(Fault, match=r"^toc\.dat has 3 bytes after its last entry$") as stopped:
        read_toc(toc_bytes(ENTRIES) + b"abc")
    assert stopped.value.code == ExitCode.DATA


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "toc.dat ends too early: it has 0 bytes"),
        (b"-- a plain dump\n", "toc.dat is not the table of contents of a pg_dump archive"),
        (b"\x1f\x8b\x08\0\0\0\0\0", "toc.dat is not the table of contents of a pg_dump archive"),
        (
            toc_bytes(ENTRIES).replace(b"PGDMP\1\x10", b"PGDMP\1\x11"),
            "archive version 1.17.0 is not supported: pg_dump 14 to 18 write 1.14 to 1.16",
        ),
        (
            toc_bytes(ENTRIES).replace(b"PGDMP\1\x10", b"PGDMP\1\x0d"),
            "archive version 1.13.0 is not supported: pg_dump 14 to 18 write 1.14 to 1.16",
        ),
        (head_bytes((1, 16, 0)) + b"\1\5\0\0\0", "toc.dat claims -5 entries"),
        (head_bytes((1, 16, 0)) + b"\0\xff\xff\xff\x7f", "toc.dat claims 2147483647 entries"),
        (toc_bytes([Entry(filename="../x.dat")]), "toc.dat names a file '../x.dat', which no pg_dump writes"),
        (toc_bytes([Entry(filename="/etc/passwd")]), "toc.dat names a file '/etc/passwd', which no pg_dump writes"),
        (toc_bytes([Entry(filename="1.dat\n")]), "toc.dat names a file '1.dat\\n', which no pg_dump writes"),
        (toc_bytes([Entry(filename="-x.dat")]), "toc.dat names a file '-x.dat', which no pg_dump writes"),
    ],
)
def test_what_is_no_table_of_contents_is_refused_by_its_fault(content: bytes, message: str) -> None:
    with pytest.raises(Fault) as stopped:
        read_toc(content)
    assert (stopped.value.code, stopped.value.message) == (ExitCode.DATA, message)


def test_an_encoding_is_the_one_that_the_archive_says() -> None:
    entry = Entry(tag="ENCODING", description="ENCODING", definition="SET client_encoding = 'LATIN1';\n", schema="")
    assert read_toc(toc_bytes([entry])).encoding == "LATIN1"
    assert read_toc(toc_bytes([])).encoding == "UTF8"


@pytest.mark.parametrize(("encoding", "codec"), [("LATIN1", "latin-1"), ("WIN1252", "cp1252"), ("UTF8", "utf-8")])
def test_names_are_read_in_the_encoding_of_the_database(encoding: str, codec: str) -> None:
    said = Entry(tag="ENCODING", description="ENCODING", definition=f"SET client_encoding = '{encoding}';\n", schema="")
    stored = Entry(dump_id=2, tag="café".encode(codec).decode("utf-8", "surrogateescape"))
    assert [entry.tag for entry in read_toc(toc_bytes([said, stored])).entries] == ["ENCODING", "café"]


@pytest.mark.parametrize("encoding", ["rot13", "hex", "no_such_encoding", "SQL_ASCII"])
def test_an_encoding_that_nobody_knows_is_no_error(encoding: str) -> None:
    said = Entry(tag="ENCODING", description="ENCODING", definition=f"SET client_encoding = '{encoding}';\n", schema="")
    assert read_toc(toc_bytes([said, USERS])).entries[1].tag == "users"


@pytest.mark.parametrize(
    ("statement", "columns"),
    [
        ("COPY public.users (id, email) FROM stdin;\n", ("id", "email")),
        (
            'COPY public."User Data" (id, "E Mail", "a,b", "c)d", "say ""hi""") FROM stdin;\n',
            ("id", "E Mail", "a,b", "c)d", 'say "hi"'),
        ),
        ('COPY "My Schema"."x(y)" ("FROM stdin;") FROM stdin;\n', ("FROM stdin;",)),
        ('COPY "a.b"."c.d" (id) FROM stdin;\n', ("id",)),
        ('COPY public.t ("two\nlines") FROM stdin;\n', ("two\nlines",)),
        ("COPY public.nothing  FROM stdin;\n", ()),
    ],
)
def test_the_columns_of_a_data_file_are_those_of_its_statement(statement: str, columns: tuple[str, ...]) -> None:
    assert copy_columns(statement) == columns


@pytest.mark.parametrize("statement", ["", "INSERT INTO x", "COPY public.users (id) TO stdout;", "COPY FROM stdin;\n"])
def test_rows_without_a_copy_statement_are_refused(statement: str) -> None:
    with pytest.raises(Fault, match="dump it without --inserts") as stopped:
        copy_columns(statement)
    assert stopped.value.code == ExitCode.DATA


@pytest.mark.parametrize(
    ("schema", "name", "text"),
    [
        ("public", "users", "public.users"),
        ("public", "Users", 'public."Users"'),
        ("my schema", 'a"b', '"my schema"."a""b"'),
        ("a.b", "c", '"a.b".c'),
        ("", "users", "users"),
    ],
)
def test_a_relation_s_name_is_quoted_only_where_sql_needs_it(schema: str, name: str, text: str) -> None:
    assert relation(schema, name) == text
    assert identifiers(text) == tuple(part for part in (schema, name) if part)
    assert identifiers(quoted(name)) == (name,)
