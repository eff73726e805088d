"""Load in place: the live database's own content is replaced, all of it in one transaction of one session.

For a target whose name, or whose server, allows no second database. It takes longer, since nothing runs beside
anything else; whoever uses a table waits until all is done; and there is no way back but another load. Until the
transaction ends, the server's disk holds both contents, as it does when databases are swapped.
"""

from __future__ import annotations

from collections.abc import Mapping

import psycopg
from psycopg import sql

from etl_runtime.archive_restore import ArchiveRestore, copy_rows, prepare
from etl_runtime.contract import ExitCode
from etl_runtime.faults import Fault, check_stopping, releasing
from etl_runtime.post_load import run_post_load
from etl_runtime.postgres import Connection
from etl_runtime.postgres_errors import error_text
from etl_runtime.target_database import TargetDatabase, load_mark

_LOCK_WAIT = "60s"
_OF_A_RESTORE = ("search_path", "check_function_bodies", "row_security", "client_min_messages", "xmloption")
"""What a restore sets, and scripts are to find as their role has it."""
_SCHEMAS = (
    "SELECT nspname, pg_get_userbyid(nspowner), pg_has_role(nspowner, 'USAGE') FROM pg_namespace"
    " WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' ORDER BY nspname"
)


def load_in_place(
    target: TargetDatabase, archive: ArchiveRestore, scripts: Mapping[str, str], manifest_sha256: str
) -> None:
    """Replace what is in the live database; when this raises, all of it is as it was.

    Args:
        target: The load.
        archive: The dump.
        scripts: Post-load scripts, name → text.
        manifest_sha256: Of the dump.

    Raises:
        Fault: CONFIG for a live database that is not there, or not wholly the role's; TRANSIENT when a table of it is
            in use for too long; DATA when the dump does not fit together.
    """
    with target.access.connect(target.live) as connection:
        _check_owner(target, connection)
        connection.execute("SELECT pg_catalog.set_config('lock_timeout', %s, false)", [_LOCK_WAIT])
        prepare(connection, archive.toc.encoding)
        try:
            with connection.transaction():
                _empty(connection)
                _run(connection, archive.definitions_text())
                done = 0
                for file, entry in archive.tables:
                    copy_rows(connection, entry, file, archive.reader(file), new=True)
                    done += file.bytes
                    archive.progress(done)
                _run(connection, archive.rest_text())
                _analyze(connection)
                for name in _OF_A_RESTORE:
                    connection.execute(sql.SQL("RESET {}").format(sql.Identifier(name)))
                run_post_load(connection, scripts)
                target.write_mark(connection, target.live, load_mark(target.execution_id, manifest_sha256))
                releasing.set()
        except psycopg.errors.LockNotAvailable:
            raise Fault(
                ExitCode.TRANSIENT, f"{target.live} is in use: a load in place waits {_LOCK_WAIT} for a table, no more"
            ) from None
        except psycopg.OperationalError:
            raise
        except psycopg.Error as error:
            raise Fault(ExitCode.DATA, f"{target.live} is as it was: {error_text(error)}") from None


def _check_owner(target: TargetDatabase, connection: Connection) -> None:
    row = connection.execute(
        "SELECT pg_has_role(datdba, 'USAGE') FROM pg_database WHERE datname = current_database()"
    ).fetchone()
    user = target.access.database.user
    if row is None or not row[0]:
        raise Fault(ExitCode.CONFIG, f"{user} does not own {target.live}: make it the owner")
    for schema, owner, is_ours in connection.execute(_SCHEMAS).fetchall():
        if not is_ours:
            raise Fault(
                ExitCode.CONFIG, f"schema {schema} of {target.live} belongs to {owner}: {user} cannot replace it"
            )


def _empty(connection: Connection) -> None:
    """Drop the schemas and large objects; a new `public` is as the server makes it."""
    for schema, owner, _ in connection.execute(_SCHEMAS).fetchall():
        connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(schema)))
        if schema == "public":
            connection.execute(sql.SQL("CREATE SCHEMA public AUTHORIZATION {}").format(sql.Identifier(owner)))
            connection.execute("GRANT USAGE ON SCHEMA public TO PUBLIC")
            connection.execute("COMMENT ON SCHEMA public IS 'standard public schema'")
    connection.execute("SELECT pg_catalog.lo_unlink(oid) FROM pg_catalog.pg_largeobject_metadata")


def _run(connection: Connection, text: bytes) -> None:
    """Run what pg_restore would have run, in this transaction."""
    check_stopping()
    if text:
        connection.execute(text)


def _analyze(connection: Connection) -> None:
    rows = connection.execute(
        "SELECT nspname, relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = relnamespace"
        " WHERE relkind IN ('r', 'm', 'p') AND nspname !~ '^pg_' AND nspname <> 'information_schema'"
    ).fetchall()
    for row in rows:
        check_stopping()
        connection.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(*row)))
