from __future__ import annotations

import pytest
from etl_runtime.table_keys import Keys, Reference, UniqueKey
from etl_runtime.toc import Toc, TocEntry


def entry(description: str, tag: str, definition: str = "", schema: str = "public") -> TocEntry:
    return TocEntry(1, tag, description, definition, "", schema, None, 0, 0)


def keys(*entries: TocEntry) -> Keys:
    return Keys(Toc((1, 16, 0), "db", "18.1", "18.1", entries, b"", 0, 0, 4))


def constraint(definition: str) -> TocEntry:
    return entry("CONSTRAINT", "t t_key", definition)


@pytest.mark.parametrize(
    ("definition", "key"),
    [
        (
            "ALTER TABLE ONLY public.users\n    ADD CONSTRAINT users_pkey PRIMARY KEY (id);\n",
            UniqueKey(("public", "users"), "users_pkey", ("id",), True),
        ),
        (
            'ALTER TABLE ONLY public."Order"\n    ADD CONSTRAINT "Order_key" UNIQUE ("Buyer Name", "a,b");\n',
            UniqueKey(("public", "Order"), "Order_key", ("Buyer Name", "a,b"), False),
        ),
        (
            "ALTER TABLE ONLY public.t\n    ADD CONSTRAINT t_key UNIQUE NULLS NOT DISTINCT (a) INCLUDE (b);\n",
            UniqueKey(("public", "t"), "t_key", ("a",), False),
        ),
    ],
)
def test_unique_constraints_are_keys(definition: str, key: UniqueKey) -> None:
    assert keys(constraint(definition)).unique == (key,)


@pytest.mark.parametrize(
    ("definition", "columns"),
    [
        ("CREATE UNIQUE INDEX t_i ON public.t USING btree (a, b);\n", ("a", "b")),
        ("CREATE UNIQUE INDEX t_i ON public.t USING btree (a DESC NULLS LAST, b);\n", ("a", "b")),
        ("CREATE UNIQUE INDEX t_i ON public.t USING btree (a) INCLUDE (b);\n", ("a",)),
        ("CREATE UNIQUE INDEX t_i ON public.t USING btree (lower(a));\n", None),
        ("CREATE UNIQUE INDEX t_i ON public.t USING btree (a) WHERE (b IS NULL);\n", None),
        ("CREATE INDEX t_i ON public.t USING btree (a);\n", None),
    ],
)
def test_unique_indexes_of_plain_columns_are_keys(definition: str, columns: tuple[str, ...] | None) -> None:
    found = keys(entry("INDEX", "t_i", definition)).unique
    assert found == ((UniqueKey(("public", "t"), "t_i", columns, False),) if columns else ())


def test_a_primary_key_and_the_keys_of_some_columns_can_be_asked_for() -> None:
    found = keys(
        constraint("ALTER TABLE ONLY public.t\n    ADD CONSTRAINT t_pkey PRIMARY KEY (a, b);\n"),
        constraint("ALTER TABLE ONLY public.t\n    ADD CONSTRAINT t_key UNIQUE (c);\n"),
    )
    assert found.primary(("public", "t")) == ("a", "b")
    assert found.primary(("public", "other")) == ()


def test_a_reference_to_partitions_is_one_to_all_tables_that_have_rows() -> None:
    rows = [entry("TABLE DATA", tag) for tag in ("child", "p1", "p2a")]
    attached = [
        entry("TABLE ATTACH", "p1", "ALTER TABLE ONLY public.p ATTACH PARTITION public.p1 FOR VALUES IN (1);\n"),
        entry("TABLE ATTACH", "p2", "ALTER TABLE ONLY public.p ATTACH PARTITION public.p2 DEFAULT;\n"),
        entry("TABLE ATTACH", "p2a", "ALTER TABLE ONLY public.p2 ATTACH PARTITION public.p2a FOR VALUES IN (2);\n"),
    ]
    definition = (
        "ALTER TABLE ONLY public.child\n    ADD CONSTRAINT child_p_fkey FOREIGN KEY (a, b)"
        " REFERENCES public.p(x, y) ON DELETE CASCADE;\n"
    )
    assert keys(*rows, *attached, entry("FK CONSTRAINT", "child child_p_fkey", definition)).references == (
        Reference(
            "child_p_fkey", (("public", "child"),), ("a", "b"), (("public", "p1"), ("public", "p2a")), ("x", "y")
        ),
    )


def test_a_reference_that_is_not_valid_binds_no_row_that_is_there() -> None:
    definition = "ALTER TABLE public.child\n    ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES public.p(x) NOT VALID;\n"
    assert keys(entry("FK CONSTRAINT", "child f", definition)).references == ()
