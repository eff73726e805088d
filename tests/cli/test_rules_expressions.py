"""What an expression does to the differences between rows, and whether two of them do the same."""

from __future__ import annotations

import re

import pytest
from etl_runtime.scrub_functions import definitions

from etl_cli.rules.expressions import (
    LEAST_LENGTH,
    MANY_TO_ONE,
    ONE_TO_ONE,
    Spread,
    columns_named,
    read_expression,
    tables_named,
)


@pytest.mark.parametrize(
    ("text", "spread", "function"),
    [
        ("email", Spread.ONE_TO_ONE, ""),
        ("users.email::text", Spread.ONE_TO_ONE, ""),
        ("scrub.email(email)", Spread.ONE_TO_ONE, "email"),
        ("scrub.email(email::text)::public.citext", Spread.ONE_TO_ONE, "email"),
        ("scrub.token(email, 32) || '@example.com'", Spread.ONE_TO_ONE, "token"),
        ("'x' || scrub.token(email, 8)", Spread.MANY_TO_ONE, "token"),
        ("scrub.token(email, length(email))", Spread.MANY_TO_ONE, "token"),
        ("scrub.bytes(email, 8)", Spread.ONE_TO_ONE, "bytes"),
        ("scrub.bytes(email, 7)", Spread.MANY_TO_ONE, "bytes"),
        ("scrub.hmac('mine:', email)", Spread.ONE_TO_ONE, "hmac"),
        ("scrub.hmac('mine:', 'x')", Spread.CONSTANT, ""),
        ("scrub.hmac(email, 'x')", Spread.UNKNOWN, ""),
        ("scrub.hmac(email)", Spread.UNKNOWN, ""),
        ("scrub.hex(scrub.hmac('mine:', email), 8)", Spread.ONE_TO_ONE, "hex"),
        ("scrub.hex(scrub.hmac('mine:', email), 7)", Spread.MANY_TO_ONE, "hex"),
        ("scrub.hex(email, 16)", Spread.MANY_TO_ONE, "hex"),
        ("scrub.mac(email)", Spread.MANY_TO_ONE, "mac"),
        ("scrub.prose()", Spread.CONSTANT, ""),
        ("scrub.phone(email)", Spread.MANY_TO_ONE, "phone"),
        ("scrub.email(scrub.phone(email))", Spread.MANY_TO_ONE, "phone"),
        ("scrub.email('x')", Spread.CONSTANT, ""),
        ("scrub.token('x', other)", Spread.UNKNOWN, ""),
        ("scrub.email(other)", Spread.UNKNOWN, ""),
        ("scrub.each(email, 'email')", Spread.UNKNOWN, "each"),
        ("lower(email)", Spread.UNKNOWN, ""),
        ("gen_random_uuid()", Spread.UNKNOWN, ""),
        ("CASE WHEN a THEN 'b' END", Spread.UNKNOWN, ""),
        ("'x'", Spread.CONSTANT, ""),
        ("1 + 2", Spread.CONSTANT, ""),
        ("ARRAY['x']::text[]", Spread.CONSTANT, ""),
        ("NULL", Spread.NULL, ""),
        ("CAST(NULL AS text)", Spread.NULL, ""),
        ("NULL || email", Spread.NULL, ""),
    ],
)
def test_an_expression_keeps_rows_apart_or_does_not(text: str, spread: Spread, function: str) -> None:
    found = read_expression(text, "email")
    assert found is not None
    assert (found.spread, found.function) == (spread, function)


@pytest.mark.parametrize("text", ["", "a from b", "x) FROM t; DELETE FROM (y", "scrub.email(", "1) , (2"])
def test_what_is_no_expression_is_none(text: str) -> None:
    assert read_expression(text, "email") is None


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (("scrub.email(email)", "email"), ("scrub.email( sent_to )", "sent_to"), True),
        (("scrub.email(email::text)", "email"), ('SCRUB.email(notes."Sent")', "Sent"), True),
        (("scrub.token(a, 32)", "a"), ("scrub.token(b, 31)", "b"), False),
        (("scrub.email(a)", "a"), ("scrub.url(b)", "b"), False),
        (("scrub.email(a)", "a"), ("scrub.email(lower(b))", "b"), False),
        (("scrub.email(a)", "a"), ("scrub.email(a)", "b"), False),
    ],
)
def test_two_columns_are_treated_alike_or_not(one: tuple[str, str], other: tuple[str, str], same: bool) -> None:
    first, second = read_expression(*one), read_expression(*other)
    assert first is not None
    assert second is not None
    assert (first.form == second.form) is same


def test_the_tables_and_columns_that_are_named_are_found() -> None:
    text = "coalesce(a, (SELECT max(b.c) FROM public.b JOIN d ON true))"
    assert tables_named(text) == ("d", "public.b")
    assert columns_named(text) == ("a", "c")
    assert columns_named("lower(email)") == ("email",)
    assert columns_named("") == ()


def test_every_function_that_is_told_apart_exists() -> None:
    text = "\n".join(definitions(180000))
    existing = set(re.findall(r"CREATE FUNCTION scrub\.(\w+)\(", text)) | {"redact"}
    assert existing >= ONE_TO_ONE
    assert existing >= set(MANY_TO_ONE)
    assert existing >= set(LEAST_LENGTH)
    assert existing >= {better.removeprefix("scrub.") for better in MANY_TO_ONE.values() if better}
    assert not ONE_TO_ONE & set(MANY_TO_ONE)
