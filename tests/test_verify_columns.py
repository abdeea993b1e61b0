"""Columns read many fields at a time hold what a reading field by field finds, or the same complaint."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import example, given, settings

from verification import columns
from verification.columns import BadField, Hashes, Piece
from verification.tables import Table, narrow

PLAIN = st.builds(
    lambda sign, whole, fraction: f"{sign}{whole}.{fraction:03d}",
    st.sampled_from(["", "-"]),
    st.integers(0, 10**15 - 1),
    st.integers(0, 999),
)
ODD = st.one_of(
    st.sampled_from(["", "-", ".", "1", "1.0", "1.0000", "+1.000", "1.000.", "--1.000", " 1.000"]),
    st.sampled_from(["1e3.000", "1.00x", "1x000", "10000", "-.500", "00.000", "9" * 15 + ".999", "9" * 16 + ".999"]),
    st.sampled_from(["9" * 17 + ".999", "9" * 40 + ".000", "٣.٠٠٠", "1\x00.000", "-0.000", "0x1.000"]),
    st.text(st.characters(exclude_characters=',\n\r"', codec="utf-8"), max_size=6),
)  # fmt: skip


def piece_of(texts: Sequence[str]) -> Piece:
    """A table of three columns whose middle one holds these texts."""
    lines = "".join(f"{i},{text},end\n" for i, text in enumerate(texts))
    return Piece(lines.encode(), 3, {"left": 0, "value": 1, "right": 2}, 2)


def outcome(read: Callable[[], Any]) -> Any:
    """A list of numbers, or (row, complaint)."""
    try:
        return read().tolist()
    except BadField as bad:
        return bad.row, bad.why


@settings(max_examples=300, deadline=None)
@given(st.lists(PLAIN, min_size=1, max_size=30))
def test_plain_numbers_are_read_to_the_last_digit(texts: list[str]) -> None:
    expected = [int(Decimal(text).scaleb(3)) for text in texts]
    assert piece_of(texts).units("value", 3).tolist() == expected


def due_of(texts: list[str]) -> Any:
    """What a column of kWh with 3 decimals says, field by field."""
    for row, text in enumerate(texts):
        if not re.fullmatch(r"-?[0-9]{1,16}\.[0-9]{3}", text):
            return row, "should be a number with 3 decimals"
    units = [int(text.replace(".", "")) for text in texts]
    huge = [row for row, unit in enumerate(units) if not -(2**63) < unit < 2**63 - 1]
    return (huge[0], "is too large a number") if huge else units


@settings(max_examples=500, deadline=None)
@given(st.lists(st.one_of(PLAIN, ODD), min_size=1, max_size=8))
def test_a_column_is_what_its_fields_are_one_by_one(texts: list[str]) -> None:
    """Its numbers, or the first row that is none, and why."""
    assert outcome(lambda: piece_of(texts).units("value", 3)) == due_of(texts)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from(["buyer", "seller", "buyes", "", "beller", "köln", "B"]), min_size=1)
)
def test_words_are_known_letter_by_letter(texts: list[str]) -> None:
    known = ["buyer", "seller", "köln", ""]
    expected = [known.index(text) if text in known else -1 for text in texts]
    assert piece_of(texts).codes("value", known).tolist() == expected
    assert piece_of(texts).texts("value") == texts


def test_quoted_fields_are_read_without_their_quotes() -> None:
    piece = Piece(b'1,"2.500",a\n2,"3,0",b\n', 3, {"value": 1, "right": 2}, 2)
    assert piece.texts("value") == ["2.500", "3,0"]
    assert piece.codes("right", ["b", "a"]).tolist() == [1, 0]
    assert outcome(lambda: piece.units("value", 3)) == (1, "should be a number with 3 decimals")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("1,2,3\n4,5", "line 8 has 2 fields, the header has 3"),
        (
            "1,2,3,4\n5,6",
            "line 7 has 4 fields, the header has 3",
        ),  # as many commas as two lines need
        ("", "line 7 has 1 fields, the header has 3"),
        ("1,2,3\n\n4,5,6", "line 8 has 1 fields, the header has 3"),
        ('1,"0.0\n37",3', "a field in quotation marks goes on in the next line"),
    ],
)
def test_a_line_with_another_number_of_fields_is_named(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Piece(f"{text}\n".encode(), 3, {"value": 1}, 7)


def test_where_a_field_may_be_empty_only_the_others_are_numbers() -> None:
    piece = piece_of(["1.500", "", "-2.000"])
    empty = piece.empty("value")
    assert empty.tolist() == [False, True, False]
    assert piece.units("value", 3, empty).tolist() == [1500, 0, -2000]
    spoilt = piece_of(["1.500", "", "x"])
    assert outcome(lambda: spoilt.units("value", 3, spoilt.empty("value"))) == (
        2,
        "should be a number with 3 decimals",
    )
    for quote in ("", '"'):
        nothing = Piece(f"1,,{quote}end{quote}\n".encode(), 3, {"value": 1}, 2)
        assert nothing.units("value", 3, nothing.empty("value")).tolist() == [0]


def test_a_word_among_thousands_is_found_as_one_of_few_is() -> None:
    many = [f"type {k}" for k in range(1, 5_000)] + ["\ud800"]
    piece = piece_of(["type 7", "type 4999", "type 5000", "7", ""])
    assert piece.codes("value", many).tolist() == [6, 4998, -1, -1, -1]
    assert piece.codes("value", ["\ud800", "type 7"]).tolist() == [1, -1, -1, -1, -1]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            ["0" * 64, "f" * 64, "0" * 63 + "\0", "", "0" * 63, "0" * 65, "é" * 64, "é" * 32]
        ),
        min_size=1,
    )
)
def test_hashes_are_kept_as_they_stand(texts: list[str]) -> None:
    found = piece_of(texts).hashes("value")
    assert [found[row] for row in range(len(texts))] == texts
    twice = columns.Hashes.joined([found, found])
    assert [twice[row] for row in range(2 * len(texts))] == texts + texts


LINES = [b"a,b\n", b"\n", b"1234567,8\n", "ö,ü\n".encode(), b"x\n"]


@pytest.mark.parametrize("size", range(10, 40))
def test_a_piece_ends_where_a_line_ends(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "PIECE_BYTES", size)
    text = b"".join(LINES * 5)
    found = list(columns.pieces(io.BytesIO(text)))
    assert b"".join(found) == text
    assert all(piece.endswith(b"\n") and len(piece) <= size for piece in found)
    with pytest.raises(ValueError, match="last line does not end"):
        list(columns.pieces(io.BytesIO(text + b"1,2")))


def test_a_byte_that_is_no_text_is_named_by_its_place_in_the_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(columns, "PIECE_BYTES", 16)
    text = b"".join(LINES * 3)
    with pytest.raises(ValueError, match=f"byte {len(text) + 2} is not UTF-8"):
        list(columns.pieces(io.BytesIO(text + b"1,\xff\n")))


def test_a_line_without_end_is_not_read_to_the_end() -> None:
    file = io.BytesIO(b"1,2\n" + b"3" * 2**21)
    with pytest.raises(ValueError, match="a line has more than 65,536 bytes"):
        list(columns.pieces(file))
    assert file.tell() <= 2 * columns.PIECE_BYTES


@given(
    st.lists(
        st.lists(st.integers(-(2**63) + 1, 2**63 - 1).map(lambda n: n >> (n % 64))), max_size=4
    )
)
@example(
    [[-128, 127], [-129, 128], [-(2**15), 2**15 - 1], [2**15], [-(2**31)], [2**31], [2**63 - 1], []]
)
def test_a_column_in_narrow_parts_holds_every_number(parts: list[list[int]]) -> None:
    narrow_parts = [narrow(np.array(numbers, np.int64)) for numbers in parts]
    column = Table(0, {"energy_wh": narrow_parts}, Hashes(b"", {}))["energy_wh"]
    assert column.dtype == np.int64
    assert column.tolist() == [number for numbers in parts for number in numbers]


def test_a_part_takes_no_more_bytes_than_its_numbers_need() -> None:
    widths = [narrow(np.array([0, most])).itemsize for most in (127, 128, 2**15 - 1, 2**15, 2**31)]
    assert widths == [1, 2, 2, 4, 8]
