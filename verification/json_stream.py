"""A JSON file read value by value, in pieces, so that memory never holds all of its text.

The reading is strict: of two equal names in an object one would be hidden, so that is refused, and so are
the numbers that JSON does not have, as NaN.
"""

from __future__ import annotations

import codecs
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO

from verification.findings import show

PIECE_BYTES = 2**19
LONGEST_TAIL = 3  # characters that may still belong to a number: "1" before "e+5"
LONGEST_WORD = 16  # characters: so near to its end, a piece may have cut a word in two: "-Infini"
OPEN_STRING = "Unterminated string"
WHITE_SPACE = re.compile(r"[ \t\n\r]*")


def strict_object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object as a dict; ValueError for two equal names."""
    result = dict(pairs)
    if len(result) != len(pairs):
        raise twice(next(name for name, n in Counter(name for name, _ in pairs).items() if n > 1))
    return result


def as_dict(value: Any) -> Any:
    """A value whose objects are tuples of pairs, with dicts instead."""
    if type(value) is tuple:
        return strict_object([(name, as_dict(inner)) for name, inner in value])
    return list(map(as_dict, value)) if type(value) is list else value


def twice(name: str) -> ValueError:
    return ValueError(f"the key {show(name)} stands twice in one object")


def no_constant(word: str) -> None:
    raise ValueError(f"{word} is not a number of JSON")


class JsonStream:
    """Stands somewhere in a JSON text and reads on from there; ValueError where it is no JSON."""

    def __init__(self, file: BinaryIO, largest_value: int):
        """A value of more characters than that is refused, so that nonsense does not fill the memory."""
        self.file, self.largest_value = file, largest_value
        self.decoder = json.JSONDecoder(object_pairs_hook=tuple, parse_constant=no_constant)
        self.decoder_of_bytes = codecs.getincrementaldecoder("utf-8")()
        self.text, self.at, self.ended = "", 0, False
        self.characters, self.bytes = 0, 0  # before this text, read so far

    def value(self) -> Any:
        """The value that begins here; an object is a tuple of pairs, since a list of pairs can be JSON."""
        self.next_character()
        while True:
            try:
                value, end = self.decoder.raw_decode(self.text, self.at)
            except json.JSONDecodeError as error:
                cut = error.pos + LONGEST_WORD > len(self.text) or error.msg.startswith(OPEN_STRING)
                if cut and len(self.text) - self.at > self.largest_value:
                    what = f"a value of more than {self.largest_value:,} characters"
                    raise self.mistake(what) from None
                if not (cut and self.more()):
                    raise self.mistake(error.msg, error.pos) from None
            else:
                if end + LONGEST_TAIL <= len(self.text) or not self.more():
                    self.at = end
                    return value

    def object_ending(self, opening: str, ending: str) -> Any:
        """The object that begins here, where its text ends with `opening`, which begins a list, and `ending`.

        `ending` holds the elements and closes list and object; it is passed, and the list is left empty. None,
        and nothing is passed, where another text stands here.
        """
        self.next_character()
        while True:
            begin = self.text.find(opening, self.at) + len(opening)
            end, found = begin + len(ending), begin >= len(opening)
            if found and end <= len(self.text):
                break
            if (found and end - self.at > self.largest_value) or not self.more():
                return None
            if not found and len(self.text) - self.at > self.largest_value:
                return None
        if not self.text.startswith(ending, begin):
            return None
        head = self.text[self.at : begin] + "]}"
        try:
            value, parsed = self.decoder.raw_decode(head)
        except ValueError:
            return None
        if parsed < len(head):
            return None
        self.at = end
        return value

    def names(self) -> Iterator[str]:
        """The names in the object that begins here; the value of each is read before the next name."""
        seen: set[str] = set()
        self.expect("{")
        if self.next_character() == "}":
            self.at += 1
            return
        while True:
            if self.next_character() != '"':
                raise self.mistake("Expecting property name enclosed in double quotes")
            name = self.value()
            if name in seen:
                raise twice(name)
            seen.add(name)
            self.expect(":")
            yield name
            if self.expect(",", "}") == "}":
                return

    def elements(self, read: Callable[[], Any] | None = None) -> Iterator[Any]:
        """The elements of the list that begins here, each as `read` reads it from this stream."""
        read = read or self.value
        self.expect("[")
        if self.next_character() == "]":
            self.at += 1
            return
        while True:
            yield read()
            if self.expect(",", "]") == "]":
                return

    def end(self) -> None:
        """Demands that nothing follows."""
        if self.next_character():
            raise self.mistake("Extra data")

    # ---------------------------------------------------------------- characters

    def next_character(self) -> str:
        """The next one that is no white space, empty at the end; it is not passed."""
        while True:
            self.at = WHITE_SPACE.match(self.text, self.at).end()  # type: ignore[union-attr]
            if self.at < len(self.text):
                return self.text[self.at]
            if not self.more():
                return ""

    def expect(self, *characters: str) -> str:
        """Passes the next character, which is one of these."""
        found = self.next_character()
        if found not in characters:
            raise self.mistake(f"Expecting '{characters[0]}' delimiter")
        self.at += 1
        return found

    def more(self) -> bool:
        """Reads on, as much again as stands here unread, and drops what was read; False at the end."""
        if self.ended:
            return False
        there = len(self.text) - self.at
        data = self.file.read(max(PIECE_BYTES, min(there, self.largest_value - there)))
        self.ended = not data
        self.characters += self.at
        self.text, self.at = self.text[self.at :] + self.decoded(data), 0
        return True

    def decoded(self, data: bytes) -> str:
        """The text of these bytes; ValueError with the place in the file of one that is none."""
        before = self.bytes - len(self.decoder_of_bytes.getstate()[0])
        self.bytes += len(data)
        try:
            return self.decoder_of_bytes.decode(data, self.ended)
        except UnicodeDecodeError as error:
            raise ValueError(f"byte {before + error.start:,} is not UTF-8") from None

    def mistake(self, what: str, place: int | None = None) -> ValueError:
        """An error with its place, which is one in this text, in the whole text."""
        place = self.characters + (self.at if place is None else place)
        if place == 0 and self.text.startswith("\ufeff"):
            what = "Unexpected byte order mark"
        line, column = self.line_and_column(place)
        return ValueError(f"{what}: line {line} column {column} (char {place})")

    def line_and_column(self, place: int) -> tuple[int, int]:
        """Where a character stands; lines are counted only now, since it takes a while."""
        self.file.seek(0)
        text = io.TextIOWrapper(self.file, encoding="utf-8", errors="replace", newline="")
        line, column = 1, 1
        while part := text.read(min(place, PIECE_BYTES)):
            line += part.count("\n")
            column = len(part) - part.rfind("\n") + (column - 1) * ("\n" not in part)
            place -= len(part)
        text.detach()
        return line, column
