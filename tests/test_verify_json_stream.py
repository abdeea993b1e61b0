"""JSON read in pieces is what Python reads from the whole text, wherever the pieces end."""

from __future__ import annotations

import io
import json
import tracemalloc
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from verification import json_stream
from verification.json_stream import JsonStream, strict_object

VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(10**30), 10**30),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(max_size=8),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.text(max_size=6), VALUES, max_size=5)
STYLES = st.sampled_from(
    [{}, {"indent": 1}, {"separators": (",", ":")}, {"separators": (" ,\n", "\t: ")}]
)


@pytest.fixture(autouse=True)
def tiny_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of a few bytes, so that every value and every mistake meets the end of one."""
    monkeypatch.setattr(json_stream, "PIECE_BYTES", 3)


def stream_of(text: str | bytes) -> JsonStream:
    data = text.encode() if type(text) is str else text
    return JsonStream(io.BytesIO(data), 10**6)  # type: ignore[arg-type]


def as_dicts(value: Any) -> Any:
    """Objects, which are read as tuples of pairs, as Python's own reader gives them."""
    if type(value) is tuple:
        return strict_object([(name, as_dicts(inner)) for name, inner in value])
    return list(map(as_dicts, value)) if type(value) is list else value


def read(text: str | bytes) -> Any:
    """An object whose lists are read element by element, anything else as a whole."""
    stream, result = stream_of(text), dict[str, Any]()
    if stream.next_character() != "{":
        value = as_dicts(stream.value())
        stream.end()
        return value
    for name in stream.names():
        is_list = stream.next_character() == "["
        result[name] = as_dicts(list(stream.elements()) if is_list else stream.value())
    stream.end()
    return result


def complaint(text: str) -> str:
    with pytest.raises(ValueError, match=r".") as caught:
        read(text)
    return str(caught.value)


@settings(max_examples=300, deadline=None)
@given(OBJECTS, STYLES, st.booleans())
def test_an_object_is_read_as_python_reads_it(
    told: dict[str, Any], style: dict[str, Any], ascii_only: bool
) -> None:
    text = json.dumps(told, ensure_ascii=ascii_only, **style)
    data = text.encode("utf-8", "replace")  # a lone surrogate is no UTF-8
    assert read(b" \n" + data + b"\r\n\t") == json.loads(data)


@pytest.mark.parametrize(
    "number", ["0", "-0", "12", "1.5", "-1.25e+10", "1E5", "1e-5", str(10**40)]
)
def test_a_number_is_not_cut_where_a_piece_ends(number: str) -> None:
    for before in range(8):
        text = '{"a":' + " " * before + number + "}"
        found = read(text)["a"]
        assert (found, type(found)) == (json.loads(number), type(json.loads(number)))


TEXT = '{"version": 1, "blocks": [{"a": "é\\u00e9"}, [], -1.5e3], "x": {}}\n'


def test_a_text_that_ends_early_is_refused_wherever_it_ends() -> None:
    data = TEXT.encode()
    for end in range(len(data) - 2):  # the last two are its brace and its line feed
        with pytest.raises(ValueError, match=r"."):
            read(data[:end])


@pytest.mark.parametrize(
    ("old", "new"),
    [('"version"', "version"), ("1,", "1"), ("1,", "1;"), ("1,", "1,,"), (": 1", " 1"), ("[]", "[,]"),
     ("true]", "true,]"), ("true]", "true}"), ("-1.5e3", "-"), ("-1.5e3", "01"), ("-1.5e3", ".5"), ("}}", "},}"),
     ("}}", "}}}"), ("}}", "}} x"), ("{}", "{1: 2}"), ('"é', "\x01é"), ("true", "True"), ('"a"', '"a" "b"')],
)  # fmt: skip
def test_a_mistake_is_found_at_its_line_and_column(old: str, new: str) -> None:
    text = "\n\n" + TEXT.replace(", ", ",\n  ").replace("-1.5e3", "-1.5e3, true")
    spoilt = text.replace(old, new, 1)
    assert spoilt != text
    with pytest.raises(json.JSONDecodeError) as due:
        json.loads(spoilt)
    place = f"line {due.value.lineno} column {due.value.colno} (char {due.value.pos})"
    found = complaint(spoilt)
    assert place in found or "trailing comma" in due.value.msg, (found, due.value)


def test_of_two_equal_names_none_is_hidden() -> None:
    assert "'a' stands twice" in complaint('{"a": 1, "b": 2, "\\u0061": 1}')
    assert "'c' stands twice" in complaint('{"a": {"c": 1, "c": 1}}')


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_a_number_that_json_does_not_have_is_refused(number: str) -> None:
    assert "is not a number of JSON" in complaint('{"a": [1, ' + number + "]}")


@pytest.mark.parametrize("before", range(12))
def test_of_other_bytes_than_utf_8_the_place_is_named(before: int) -> None:
    text = b'{"\xc3\xa9": "' + b"x" * before
    for other in (b'\xff"}', b'\xc3"}', b"\xc3"):
        with pytest.raises(ValueError, match=rf"byte {len(text)} is not UTF-8"):
            read(text + other)


def test_a_byte_order_mark_is_named() -> None:
    assert "byte order mark" in complaint("\ufeff{}")


def test_a_value_beyond_its_size_is_not_read() -> None:
    file = io.BytesIO(b'[1, [1, "' + b"x" * 500 + b'"], ' + b"[]," * 10_000 + b"[]]")
    with pytest.raises(ValueError, match=r"a value of more than 40 characters: line 1 column 5 "):
        list((stream := JsonStream(file, 40)).elements())
    assert stream.bytes < 60


def test_an_object_that_goes_on_before_its_list_begins_is_not_read_on() -> None:
    """As of a block whose transactions are known already, if the file has another text there."""
    file = io.BytesIO(b'{"hash": "' + b"x" * 10_000 + b'", "transactions": [1]}')
    stream = JsonStream(file, 40)
    assert stream.object_ending('"transactions": [', "1]}") is None
    assert stream.bytes < 60


def test_memory_holds_an_element_and_not_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_stream, "PIECE_BYTES", 2**16)
    text = json.dumps({"blocks": [{"hash": "0" * 1000}] * 10_000}).encode()
    stream = stream_of(text)
    assert next(stream.names()) == "blocks"
    tracemalloc.start()
    count = sum(1 for _ in stream.elements())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 10_000
    assert peak < 10 * 2**16 < len(text) / 10


def test_a_value_larger_than_a_piece_is_begun_a_few_times_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stream = stream_of(json.dumps("x" * 200_000))
    decode, begun = stream.decoder.raw_decode, list[int]()
    monkeypatch.setattr(
        stream.decoder,
        "raw_decode",
        lambda text, at: (begun.append(len(text)), decode(text, at))[1],
    )
    assert len(stream.value()) == 200_000
    assert sum(begun) < 4 * 200_000


def test_behind_a_mistake_nothing_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_stream, "PIECE_BYTES", 2**10)
    file = io.BytesIO(b'{"a": [{"b" 1}, ' + b"1, " * 10_000 + b"]}")
    stream = JsonStream(file, 10**6)
    with pytest.raises(ValueError, match=r"line 1 column 13 \(char 12\)"):
        next(stream.names())
        stream.value()
    assert stream.bytes <= 2 * 2**10
