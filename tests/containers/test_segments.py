from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from etl_runtime.contract import ExitCode
from etl_runtime.faults import Fault
from etl_runtime.segments import of_bounded_rows, segments


def cut(text: bytes, sizes: random.Random) -> list[bytes]:
    chunks: list[bytes] = []
    while text:
        size = sizes.randint(1, 40)
        chunks.append(text[:size])
        text = text[size:]
    return chunks


@pytest.mark.parametrize("seed", range(20))
def test_the_pieces_are_whole_rows_and_do_not_depend_on_how_the_text_came(seed: int) -> None:
    choice = random.Random(seed)
    rows = [b"x" * choice.choice((0, 1, 5, 9, 10, 11, 100)) + b"\n" for _ in range(choice.randint(0, 60))]
    text = b"".join(rows)
    pieces = list(segments(cut(text, choice), 10))
    assert b"".join(pieces) == text
    assert all(piece.endswith(b"\n") for piece in pieces)
    assert all(len(piece) >= 10 for piece in pieces[:-1])
    assert pieces == list(segments([text] if text else [], 10))


def test_no_piece_has_a_row_more_than_it_needs() -> None:
    assert list(segments([b"1234\n5678\n9\n"], 5)) == [b"1234\n", b"5678\n", b"9\n"]
    assert list(segments([b"1234\n5678\n9\n"], 6)) == [b"1234\n5678\n", b"9\n"]


def test_a_row_of_any_length_is_one_piece() -> None:
    assert list(segments([b"1", b"2", b"3", b"4\n", b"5\n"], 2)) == [b"1234\n", b"5\n"]


def test_no_text_has_no_pieces() -> None:
    assert list(segments([])) == []


@pytest.mark.parametrize("size", range(1, 8))
def test_a_row_is_too_long_by_its_own_bytes_however_it_comes(size: int) -> None:
    def chunks(text: bytes) -> list[bytes]:
        return [text[start : start + size] for start in range(0, len(text), size)]

    fits = chunks(b"12\n" + b"1\tabcde\n" + b"\n1\ta\n1\tabcde\n")
    assert list(of_bounded_rows(fits, "public.users", 7)) == fits
    for text in (b"12\n1\tabcdef\n1\ta\n", b"1\tabcdef\n", b"12\n1\tabcdef"):
        with pytest.raises(Fault):
            list(of_bounded_rows(chunks(text), "public.users", 7))


def test_a_row_without_an_end_stops_what_makes_it() -> None:
    made: list[int] = []

    def endless() -> Iterator[bytes]:
        while True:
            made.append(1 << 20)
            yield b"x" * (1 << 20)

    with pytest.raises(Fault) as stopped:
        list(segments(of_bounded_rows(endless(), "public.users: 1001.dat.gz", 8 << 20)))
    assert (stopped.value.code, stopped.value.message) == (
        ExitCode.DATA,
        "public.users: 1001.dat.gz has a row of more than 8 MiB, and a row is held in memory: make it smaller at its "
        "source, or truncate the table",
    )
    assert sum(made) == 9 << 20
