"""What the runtime reads of an archive, held against what Postgres's own tools wrote and read of it."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from etl_runtime.archive_upload import file_chunks
from etl_runtime.data_file import DataFileReader, stem
from etl_runtime.toc import read_toc, relation

from etl_local.clusters import ClusterTemplate, PostgresCluster
from etl_local.postgres_installation import PostgresInstallation
from tests.containers.end_to_end.source_database import ROWS, SCHEMA, TABLES

pytestmark = pytest.mark.end_to_end


@dataclass(frozen=True)
class Archive:
    """A directory archive by one major version's pg_dump."""

    directory: Path
    launchers: Path
    major: int

    @property
    def toc(self) -> bytes:
        return (self.directory / "toc.dat").read_bytes()

    def listing(self) -> list[str]:
        """What pg_restore --list says, a line an entry."""
        argv = [self.launchers / "pg_restore", "--list", self.directory]
        said = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
        return [line for line in said.splitlines() if re.match(r"\d+; ", line)]


@pytest.fixture(scope="module", params=[16, 18])
def archive(request: pytest.FixtureRequest, servers_directory: Path) -> Iterator[Archive]:
    major: int = request.param
    directory = servers_directory / f"archive-{major}"
    directory.mkdir()
    directory.chmod(0o711)
    launchers = PostgresInstallation.bundled(major).launchers(directory)
    template = ClusterTemplate(directory / "template", launchers)
    with PostgresCluster(directory, launchers, "server", template) as server:
        server.create_role("etl_dump", "BYPASSRLS")
        with psycopg.connect(server.dsn(), autocommit=True) as connection:
            connection.execute(SCHEMA + ROWS)  # type: ignore[call-overload]
        argv = [launchers / "pg_dump", "--format=directory", "--compress=1", f"--file={directory}/dump", server.dsn()]
        subprocess.run(argv, check=True)
        yield Archive(directory / "dump", launchers, major)


def test_a_table_of_contents_is_read_as_pg_restore_reads_it(archive: Archive) -> None:
    toc = read_toc(archive.toc)
    version = PostgresInstallation.bundled(archive.major).version()
    assert toc.archive_version == {16: "1.15.0", 18: "1.16.0"}[archive.major]
    assert (toc.client_version, toc.server_version) == (version, version)
    assert (toc.database, toc.encoding) == ("postgres", "UTF8")
    entries = {entry.dump_id: entry for entry in toc.entries}
    listed = {int(line.partition(";")[0]): line for line in archive.listing()}
    # Not listed is what is only of the session that restores, and what is of the database itself.
    unlisted = {entries[number].description for number in entries.keys() - listed.keys()}
    assert unlisted == {"ENCODING", "STDSTRINGS", "SEARCHPATH", "DATABASE", "COMMENT"}
    for number, line in listed.items():
        entry = entries[number]
        said = f"{entry.description} {entry.schema or '-'} {entry.tag}"
        assert re.fullmatch(rf"{number}; \d+ \d+ {re.escape(said)} (?:postgres)?", line)


def test_a_real_table_of_contents_less_nothing_is_the_same_bytes(archive: Archive) -> None:
    assert read_toc(archive.toc).changed([], {}) == archive.toc


def test_pg_restore_reads_a_table_of_contents_from_which_kinds_were_taken(archive: Archive, tmp_path: Path) -> None:
    kinds = {"COMMENT", "BLOB", "BLOBS", "BLOB METADATA", "MATERIALIZED VIEW DATA"}
    (tmp_path / "toc.dat").write_bytes(read_toc(archive.toc).changed(kinds, {}))
    less = Archive(tmp_path, archive.launchers, archive.major)
    kept = [line for line in archive.listing() if not re.search(rf"^\d+; \d+ \d+ (?:{'|'.join(kinds)}) ", line)]
    assert less.listing() == kept
    assert len(kept) < len(archive.listing())


def test_every_data_file_is_named_and_read_whole(archive: Archive) -> None:
    toc = read_toc(archive.toc)
    named = {entry.filename for entry in toc.entries if entry.filename}
    files = {stem(path.name): path for path in archive.directory.iterdir() if path.name != "toc.dat"}
    assert set(files) == named | {"blob_4711.dat"}
    rows: dict[str, int] = {}
    for entry in toc.table_data:
        path = files[str(entry.filename)]
        rows[relation(entry.schema, entry.tag)] = DataFileReader(path.name, file_chunks(path)).read_through().rows
    assert rows == TABLES
    columns = {relation(entry.schema, entry.tag): entry.columns for entry in toc.table_data}
    assert columns["public.users"] == ("id", "email", "name", "phone", "note", "born", "feels")
    assert columns['"My Schema"."User Data"'] == ("id", "E Mail", "a,b")
    assert columns["public.nothing"] == ()
