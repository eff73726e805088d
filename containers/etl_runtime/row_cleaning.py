"""How a table's original rows become cleaned ones: by compiled functions, or by a session in the scratch database."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping

from etl_runtime.compiled_expressions import NotCompiledError
from etl_runtime.compiled_table import CompiledTable, Keyring
from etl_runtime.proof.kernel import Segment
from etl_runtime.scratch import Scratch
from etl_runtime.scrub_functions import key_constants
from etl_runtime.table_keys import Name
from etl_runtime.table_session import TableSession
from etl_runtime.table_shape import TableShape


class RowCleaning:
    """Cleans the rows of tables, in any thread; close it at the end.

    Args:
        scratch: Holds the dump's definitions and the scrub functions.
        encoding: Of the archive's text.
        key: The pseudonyms', hex.
    """

    def __init__(self, scratch: Scratch, encoding: str, key: str) -> None:
        self._scratch = scratch
        self._encoding = encoding
        self._keyring = Keyring(**key_constants(key))
        self._own = threading.local()
        self._sessions: list[TableSession] = []
        self._compiled: dict[Name, CompiledTable] = {}
        self._compared: set[Name] = set()

    def close(self) -> None:
        """End the sessions."""
        for session in self._sessions:
            session.close()

    def session(self) -> TableSession:
        """The calling thread's own."""
        session: TableSession | None = getattr(self._own, "session", None)
        if session is None:
            session = self._own.session = TableSession(self._scratch.connect(), self._encoding)
            self._sessions.append(session)
        return session

    def prepare(self, shapes: Mapping[Name, TableShape], loaded: Collection[Name]) -> dict[str, str]:
        """Compile what can be.

        Args:
            shapes: Of the tables that are cleaned.
            loaded: Those whose rows are in the scratch, and come from there.

        Returns:
            By the name of a table that passes the scratch: why.
        """
        session, told = self.session(), dict[str, str]()
        for name, shape in shapes.items():
            if name in loaded:
                told[shape.table.name] = "scripts were run on it"
                continue
            try:
                self._compiled[name] = CompiledTable(
                    shape,
                    self._encoding,
                    self._keyring,
                    lambda column, expression, shape=shape: session.constant(shape, column, expression),
                )
            except NotCompiledError as error:
                told[shape.table.name] = str(error)
        return told

    def cleaned(self, shape: TableShape, name: Name, segment: Segment) -> bytes:
        """The cleaned rows of a segment of original ones.

        Raises:
            Fault: as `TableSession.cleaned` and `CompiledTable.compare`.
        """

        def by_database(text: bytes) -> bytes:
            return self.session().cleaned(shape, text)

        compiled = self._compiled.get(name)
        if compiled is None:
            return by_database(segment.text)
        if name not in self._compared:
            self._compared.add(name)
            compiled.compare(segment, by_database)
        return compiled.cleaned(segment, by_database)
