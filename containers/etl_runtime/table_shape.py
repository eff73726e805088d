"""A table as the scratch has it: types that cleaned values must fit, and what a cleaned row must hold to."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from psycopg import sql

from etl_runtime.classification import ClassifiedTable
from etl_runtime.postgres import Connection
from etl_runtime.toc import quoted
from etl_runtime.trusted_sql import trusted

STAGE_SCHEMA = "postgres_etl_stage"
REFUSED = "ETL02"
"""SQLSTATE of our own: a cleaned row breaks a condition, whose number the message is."""
STAGE = f"""
CREATE SCHEMA {STAGE_SCHEMA};
CREATE FUNCTION {STAGE_SCHEMA}.refuse(condition integer) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '%', condition USING ERRCODE = '{REFUSED}';
END
$$;
"""
_CUT_SILENTLY = ("varchar", "bpchar", "varbit", "bit")
"""An explicit cast to one of these cuts what is too long in silence; the function behind the cast can refuse it."""
_COLUMNS = """
SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), b.typname, t.typcategory,
  CASE WHEN t.typtype = 'd' THEN t.typtypmod ELSE a.atttypmod END, a.attnotnull,
  CASE WHEN a.attgenerated <> '' THEN pg_catalog.pg_get_expr(d.adbin, d.adrelid) END, a.attstorage IN ('x', 'm')
FROM pg_catalog.pg_attribute AS a
JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
JOIN pg_catalog.pg_type AS b ON b.oid = CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END
LEFT JOIN pg_catalog.pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = %s::pg_catalog.regclass AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
"""
# A constraint that is NOT VALID binds new rows alone: the dump's own rows may break it, and so may they when cleaned.
_CHECKS = """
SELECT conname, pg_catalog.pg_get_expr(conbin, conrelid) FROM pg_catalog.pg_constraint
WHERE conrelid = %s::pg_catalog.regclass AND contype = 'c' AND convalidated ORDER BY conname
"""
_PARTITION = "SELECT pg_catalog.pg_get_partition_constraintdef(%s::pg_catalog.regclass)"


@dataclass(frozen=True, slots=True)
class ColumnShape:
    """One column. `base` is its type's name, a domain's base type's; `category` that of `pg_type.typcategory`."""

    name: str
    type: str
    base: str
    category: str
    modifier: int
    not_null: bool
    generated: str | None
    compressible: bool

    @property
    def is_many(self) -> bool:
        """Whether a value is made of elements that are looked for one by one."""
        return self.category == "A" or self.base == "hstore"

    @property
    def is_padded(self) -> bool:
        """Whether blanks at the end do not count: character(n)."""
        return self.base == "bpchar"

    def fitted(self, expression: str) -> sql.Composed:
        """The expression as a value of the column's type; one that is too long for it is an error."""
        inner = sql.SQL("({})").format(trusted(expression))
        if self.base in _CUT_SILENTLY and self.modifier >= 0:
            function = sql.Identifier("pg_catalog", self.base)
            inner = sql.SQL("{0}(({1})::{0}, {2}, false)").format(function, trusted(expression), self.modifier)
        return sql.SQL("{}::{}").format(inner, trusted(self.type))


@dataclass(frozen=True, slots=True)
class Condition:
    """What every cleaned row must hold to: SQL over the table's columns, and what to call it.

    `is_not_null`: whether it says no more than that a column of the archive is NOT NULL.
    """

    text: str
    told: str
    is_not_null: bool = False


@dataclass(frozen=True, slots=True)
class TableShape:
    """A table's columns, generated ones included, and the conditions on its rows."""

    table: ClassifiedTable
    columns: Mapping[str, ColumnShape]
    conditions: tuple[Condition, ...]

    def column(self, name: str) -> ColumnShape:
        """A column by its name."""
        return self.columns[name]

    def select(self, source: sql.Composable, where: sql.Composable | None = None) -> sql.Composed:
        """The query whose rows are the table's cleaned rows, columns in the order of its data file.

        Expressions and the row filter are the owner's SQL; they see the columns under the table's own name.

        Args:
            source: The table that holds the original rows, or those that the scripts left.
            where: Which of them, beside the rule's own filter.
        """
        table, tag = self.table, sql.Identifier(self.table.entry.tag)
        names = sql.SQL(", ").join(map(sql.Identifier, table.entry.columns))
        values = sql.SQL(", ").join(
            sql.SQL("{} AS {}").format(self.columns[name].fitted(rule.expression), sql.Identifier(name))
            if rule.is_computed
            else sql.Identifier(name)
            for name, rule in table.columns
        )
        filters = [sql.SQL("({})").format(trusted(table.rule.where))] if table.rule.where else []
        filters += [where] if where is not None else []
        query = sql.SQL("SELECT {} FROM ONLY {} AS {}").format(values, source, tag)
        if filters:
            query += sql.SQL(" WHERE ") + sql.SQL(" AND ").join(filters)
        if not self.conditions:
            return query
        query = sql.SQL("SELECT * FROM ({} OFFSET 0) AS {}").format(query, tag)
        if generated := self._generated():
            query = sql.SQL("SELECT *, {} FROM ({}) AS {}").format(generated, query, tag)
        refusals = sql.SQL(" ").join(
            sql.SQL("WHEN ({}) IS FALSE THEN {}({})").format(
                trusted(condition.text), sql.Identifier(STAGE_SCHEMA, "refuse"), number
            )
            for number, condition in enumerate(self.conditions)
        )
        return sql.SQL("SELECT {} FROM ({}) AS {} WHERE CASE {} ELSE true END").format(names, query, tag, refusals)

    def _generated(self) -> sql.Composed | None:
        """Generated columns, which a condition may name, made of the cleaned values."""
        found = [
            sql.SQL("({})::{} AS {}").format(trusted(column.generated), trusted(column.type), sql.Identifier(name))
            for name, column in self.columns.items()
            if column.generated and any(is_about(condition.text, [name]) for condition in self.conditions)
        ]
        return sql.SQL(", ").join(found) if found else None


def table_shape(connection: Connection, table: ClassifiedTable) -> TableShape:
    """Read a table's shape from the scratch's catalog."""
    columns = {
        str(name): ColumnShape(str(name), *rest) for name, *rest in connection.execute(_COLUMNS, [table.sql_name])
    }
    conditions = _conditions(connection, table, columns)
    return TableShape(table, columns, tuple(conditions))


def _conditions(connection: Connection, table: ClassifiedTable, columns: Mapping[str, ColumnShape]) -> list[Condition]:
    changed = {name for name, rule in table.columns if rule.is_computed}
    changed |= {name for name, column in columns.items() if column.generated and is_about(column.generated, changed)}
    found = [
        Condition(
            sql.SQL("{} IS NOT NULL").format(sql.Identifier(name)).as_string(connection),
            f"{name} is NOT NULL",
            is_not_null=not columns[name].generated,
        )
        for name in columns
        if name in changed and columns[name].not_null
    ]
    checks = connection.execute(_CHECKS, [table.sql_name]).fetchall()
    found += [Condition(text, f"check constraint {name}") for name, text in checks if is_about(text, changed)]
    row = connection.execute(_PARTITION, [table.sql_name]).fetchone()
    if row is not None and row[0] and is_about(row[0], changed):
        found.append(Condition(row[0], "the bounds of its partition: keep what it is partitioned by"))
    return found


def is_about(text: str, columns: Collection[str]) -> bool:
    """Whether SQL may be about one of the columns; a name that is a part of another one costs a check too many."""
    return any(quoted(name)[1:-1] in text for name in columns)
