"""What scrub scripts do to which columns, as far as their text tells."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from etl_runtime.scripts import script_files
from pglast import ast, parse_sql
from pglast.enums import CmdType
from pglast.parser import ParseError

from etl_cli.rules.expressions import nodes
from etl_cli.rules.psql_script import Statement, read_script
from etl_cli.rules.schema import Schema, Table

_Name = tuple[str, str]
"""Schema, or nothing where the script does not say it, and name."""


@dataclass
class ScriptEffects:
    """What all scripts of a directory do.

    Attributes:
        assigned: tables and columns that an UPDATE, or a MERGE that updates, sets.
        rewritten: tables that rows are inserted into.
        deleted: tables that rows are deleted from, or that are truncated.
        unsure: place (`20.sql:7`) and what stands there whose doings the text does not tell.
    """

    schema: Schema
    assigned: set[tuple[_Name, str]] = field(default_factory=set[tuple[_Name, str]])
    rewritten: set[_Name] = field(default_factory=set[_Name])
    deleted: set[_Name] = field(default_factory=set[_Name])
    unsure: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])

    def assigns(self, table: Table, column: str) -> bool:
        """Whether a statement sets the column, of the table or of one that it is a part of."""
        return any((name, column) in self.assigned for name in self._names(table))

    def may_assign(self, table: Table, column: str) -> bool:
        """Whether a statement sets the column, or inserts rows."""
        return self.assigns(table, column) or bool(self.rewritten & set(self._names(table)))

    def deletes_from(self, table: Table) -> bool:
        """Whether a statement deletes from the table, or from one that it is a part of."""
        return bool(self.deleted & set(self._names(table)))

    def note_assigned(self, relation: ast.RangeVar | None, targets: Iterable[ast.ResTarget] | None) -> None:
        """Note the columns that a SET list names."""
        self.assigned.update((_name(relation), target.name) for target in targets or () if target.name)

    def _names(self, table: Table) -> list[_Name]:
        parts = [
            self.schema.tables[name].parts for name in self.schema.ancestors(table.name) if name in self.schema.tables
        ]
        return [*parts, *(("", name) for _, name in parts)]


def read_effects(directory: Path, schema: Schema) -> ScriptEffects:
    """What the scripts of a scrub directory do."""
    effects = ScriptEffects(schema)
    own = {name.partition("(")[0].rpartition(".")[2].strip('"') for name in schema.functions}
    for script in script_files(directory):
        for statement in read_script(script):
            _note(effects, statement, own)
    return effects


def _note(effects: ScriptEffects, statement: Statement, own_functions: set[str]) -> None:
    place = f"{statement.file}:{statement.line}"
    if statement.sends_rows:
        effects.unsure.append((place, "\\gexec"))
    if statement.is_conditional:
        effects.unsure.append((place, "a statement between \\if and \\endif"))
        return
    try:
        roots = [raw.stmt for raw in parse_sql(statement.text)]
    except ParseError:
        effects.unsure.append((place, "a statement that does not parse"))
        return
    for node in (node for root in roots for node in nodes(root)):
        _note_change(effects, node, place)
        _note_unsure(effects, node, place, own_functions)


def _note_change(effects: ScriptEffects, node: ast.Node, place: str) -> None:
    """What a statement changes of which table, whatever else it is a part of."""
    match node:
        case ast.UpdateStmt():
            effects.note_assigned(node.relation, node.targetList)
            if node.relation is not None and not _is_table(effects.schema, node.relation):
                effects.unsure.append((place, f"UPDATE of {node.relation.relname}"))
        case ast.MergeStmt():
            for clause in node.mergeWhenClauses or ():
                _note_merge(effects, node.relation, clause)
        case ast.InsertStmt():
            effects.rewritten.add(_name(node.relation))
            if node.onConflictClause is not None:
                effects.note_assigned(node.relation, node.onConflictClause.targetList)
        case ast.CopyStmt() if node.is_from and node.relation is not None:
            effects.rewritten.add(_name(node.relation))
        case ast.DeleteStmt():
            effects.deleted.add(_name(node.relation))
        case ast.TruncateStmt():
            effects.deleted.update(_name(relation) for relation in node.relations or ())
        case _:
            pass


def _note_merge(effects: ScriptEffects, relation: ast.RangeVar | None, clause: ast.MergeWhenClause) -> None:
    match clause.commandType:
        case CmdType.CMD_UPDATE:
            effects.note_assigned(relation, clause.targetList)
        case CmdType.CMD_INSERT:
            effects.rewritten.add(_name(relation))
        case CmdType.CMD_DELETE:
            effects.deleted.add(_name(relation))
        case _:
            pass


def _note_unsure(effects: ScriptEffects, node: ast.Node, place: str, own_functions: set[str]) -> None:
    match node:
        case ast.DoStmt():
            effects.unsure.append((place, "DO"))
        case ast.CallStmt():
            effects.unsure.append((place, "CALL"))
        case ast.FuncCall() if node.funcname and node.funcname[-1].sval in own_functions:
            effects.unsure.append((place, f"a call of {node.funcname[-1].sval}"))
        case _:
            pass


def _name(relation: ast.RangeVar | None) -> _Name:
    return (relation.schemaname or "", relation.relname or "") if relation is not None else ("", "")


def _is_table(schema: Schema, relation: ast.RangeVar) -> bool:
    name = _name(relation)
    return any(name in (table.parts, ("", table.parts[1])) for table in schema.tables.values())
