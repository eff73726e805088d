"""Where a schema is had from: a live database, a dump on this disk, or the snapshot beside the rules."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg
from etl_runtime.faults import Fault
from etl_runtime.postgres import run_tool, tool
from etl_runtime.postgres_errors import tool_errors
from etl_runtime.scratch import ADMINISTRATOR, Scratch
from etl_runtime.toc import TOC_NAME, Toc, TocEntry, identifiers, read_toc, relation
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from etl_cli.ending import CommandError, RefusedError
from etl_cli.rules.against import Against
from etl_cli.rules.findings import Finding, Severity
from etl_cli.rules.schema import Schema, Table
from etl_cli.rules.schema_catalog import SESSION, Connection, read_schema
from etl_cli.rules.schema_snapshot import SNAPSHOT_FILE, read_snapshot
from etl_cli.rules.scratch_server import scratch_server

_NOT_RESTORED: Final = {
    "BLOB": "large_objects",
    "BLOBS": "large_objects",
    "BLOB METADATA": "large_objects",
    "EVENT TRIGGER": "function_bodies",
    "POLICY": "check_expressions",
    "SERVER": "foreign_servers",
    "FOREIGN DATA WRAPPER": "foreign_servers",
    "FOREIGN TABLE": "",
    "ROW SECURITY": "",
    "USER MAPPING": "",
    "PUBLICATION": "",
    "PUBLICATION TABLE": "",
    "PUBLICATION TABLES IN SCHEMA": "",
    "SUBSCRIPTION": "",
    "DATABASE": "",
    "DATABASE PROPERTIES": "",
    "EXTENSION": "",
}
"""Kinds of entries that want roles, superusers or other servers → the place that they are data in, if they are."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where to have a schema from.

    Attributes:
        kind: which of these it is.
        source: of a live database, see `live_database`.
        dump: of a dump, its directory.
        scrub: the scrub directory, beside whose rules the snapshot is.
    """

    kind: Against
    source: str
    dump: Path | None
    scrub: Path

    @property
    def name(self) -> str:
        """For people."""
        return {"live": "live database", "dump": f"dump {self.dump}", "snapshot": f"snapshot {self.snapshot}"}[
            self.kind
        ]

    @property
    def snapshot(self) -> Path:
        """The path of the snapshot."""
        return self.scrub / SNAPSHOT_FILE

    def drift(self, schema: Schema) -> list[Finding]:
        """A warning where the committed snapshot is not the schema that was had from elsewhere."""
        if self.kind is Against.SNAPSHOT or not self.snapshot.exists() or read_snapshot(self.snapshot) == schema:
            return []
        text = f"is not the schema of the {self.name}: see `postgres-etl rules diff`, write it with `rules snapshot`"
        return [Finding("snapshot", Severity.WARNING, str(self.snapshot), 0, SNAPSHOT_FILE, text)]


def schema_of(origin: Origin, programs: Path | None) -> Schema:
    """The schema of a database, a dump or a snapshot.

    Args:
        origin: Where it is had from.
        programs: Directory of the Postgres programs, which a dump is restored with; None for those of the wheel.

    Raises:
        RefusedError: it cannot be had.
        CommandError: the database, or the scratch server, did not go on.
    """
    match origin.kind:
        case Against.SNAPSHOT:
            return read_snapshot(origin.snapshot)
        case Against.LIVE:
            with live_database(origin.source) as connection:
                return read_schema(connection)
        case Against.DUMP:
            directory = origin.dump or Path()
            read_archive(directory)
            with scratch_server(programs) as scratch:
                return archive_schema(directory, scratch)


@contextmanager
def live_database(source: str) -> Iterator[Connection]:
    """A read-only connection to a live database.

    Args:
        source: A service's name, a connection string without a password, or nothing for what the PG* variables say.

    Raises:
        RefusedError: it is none of these, it holds a password, or the database cannot be reached.
        CommandError: the database did not go on.
    """
    try:
        parts = conninfo_to_dict(_conninfo(source))
    except psycopg.Error:
        # libpq's words on a malformed string may quote its password.
        raise RefusedError("--source is neither a service's name nor a connection string") from None
    if parts.get("password"):
        raise RefusedError("--source holds a password, which every process here can read: use PGPASSWORD or ~/.pgpass")
    try:
        connection = psycopg.connect(
            make_conninfo(_conninfo(source), connect_timeout=10, application_name="postgres-etl"), autocommit=True
        )
    except psycopg.OperationalError as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise RefusedError(f"the source cannot be reached: {'; '.join(lines)}") from None
    with connection:
        try:
            connection.execute(SESSION)
            yield connection
        except psycopg.OperationalError:
            raise CommandError(
                "the source did not go on: the connection is gone, or a lock was not to be had"
            ) from None


def _conninfo(source: str) -> str:
    return f"service={source}" if source and "=" not in source and "://" not in source else source


def read_archive(directory: Path) -> Toc:
    """The table of contents of a directory archive.

    Raises:
        RefusedError: it is no such archive.
    """
    try:
        return read_toc((directory / TOC_NAME).read_bytes())
    except OSError:
        raise RefusedError(
            f"{directory} has no {TOC_NAME} that can be read: a dump is a directory, as pg_dump -Fd writes"
        ) from None
    except Fault as error:
        raise RefusedError(f"{directory}: {error.message}") from None


def archive_schema(directory: Path, scratch: Scratch) -> Schema:
    """The schema of a directory archive, once its definitions are restored into a scratch database, which stay there.

    Raises:
        RefusedError: it is no archive, or it has what this Postgres cannot restore.
    """
    toc = read_archive(directory)
    restore_entries(directory, scratch, [e for e in toc.entries if _is_definition(e)], "pre-data", "post-data", toc=toc)
    with scratch.connect() as connection:
        schema = read_schema(connection)
    foreign = {
        name: Table(name, "foreign")
        for name in (relation(e.schema, e.tag) for e in toc.entries if e.description == "FOREIGN TABLE")
    }
    places = {place: set(names) for place, names in schema.places.items()}
    for entry in toc.entries:
        if place := _place(entry):
            places.setdefault(place, set()).add("some" if place == "large_objects" else _name(entry))
    server = int(toc.server_version.partition(".")[0].split()[0]) if toc.server_version else schema.major
    return Schema(
        server,
        dict(sorted(_extensions(toc).items())),
        schema.types,
        schema.functions,
        dict(sorted((dict(schema.tables) | foreign).items(), key=lambda item: item[1].parts)),
        {place: tuple(sorted(names)) for place, names in places.items()},
    )


def _is_definition(entry: TocEntry) -> bool:
    return entry.description not in _NOT_RESTORED and not _is_on_large_object(entry)


def _is_on_large_object(entry: TocEntry) -> bool:
    return entry.description == "COMMENT" and entry.tag.startswith("LARGE OBJECT")


def _place(entry: TocEntry) -> str:
    return "comments" if _is_on_large_object(entry) else _NOT_RESTORED.get(entry.description, "")


def _name(entry: TocEntry) -> str:
    """As the catalog's reader calls it."""
    if entry.description == "COMMENT":
        return "large objects"
    if entry.description == "POLICY":
        table, _, policy = entry.tag.partition(" ")
        return f"policy {relation('', policy)} on {relation(entry.schema, table)}"
    return f"{entry.description.lower()} {relation('', entry.tag)}"


def _extensions(toc: Toc) -> dict[str, str]:
    found: dict[str, str] = {}
    for entry in toc.entries:
        if entry.description == "EXTENSION" and entry.tag != "plpgsql":
            _, _, place = entry.definition.partition(" WITH SCHEMA ")
            found[entry.tag] = identifiers(place.strip().rstrip(";"))[0] if place else "public"
    return found


def restore_entries(directory: Path, scratch: Scratch, entries: list[TocEntry], *sections: str, toc: Toc) -> None:
    """Restore entries of a directory archive as the ordinary role; the extensions before, by the administrator.

    Raises:
        RefusedError: this Postgres cannot restore them.
    """
    with scratch.connect(ADMINISTRATOR) as connection:
        available = {name for (name,) in connection.execute("SELECT name FROM pg_catalog.pg_available_extensions")}
        for name, place in _extensions(toc).items():
            if name not in available:
                raise RefusedError(
                    f"the dump wants the extension {name}, which the Postgres here lacks: name another with --pg-bin"
                )
            connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(place)))
            statement = sql.SQL("CREATE EXTENSION IF NOT EXISTS {} WITH SCHEMA {} CASCADE")
            connection.execute(statement.format(sql.Identifier(name), sql.Identifier(place)))
        connection.execute("GRANT CREATE ON SCHEMA public TO PUBLIC")
    made = set(_extensions(toc).values()) | {"public"}
    listed = [e for e in entries if not (e.description == "SCHEMA" and e.tag in made)]
    with_tool = scratch.tool_environment()
    listing = Path(with_tool["PGHOST"]).parent / "restore.list"
    listing.write_text("".join(f"{entry.dump_id};\n" for entry in listed))
    argv = [
        tool("pg_restore"),
        f"--dbname={with_tool['PGDATABASE']}",
        "--exit-on-error",
        "--no-owner",
        "--no-privileges",
        "--no-security-labels",
        f"--use-list={listing}",
        *(f"--section={section}" for section in sections),
        str(directory),
    ]
    status, errors = run_tool(argv, with_tool)
    if status != 0:
        raise RefusedError(f"the dump cannot be restored here: {tool_errors(errors)}")
