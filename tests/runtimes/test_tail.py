"""One file that grows, is cut, is replaced, and holds what no text file should."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from meshfleet.runtimes.tail import CHUNK, LINE_LIMIT, Tail


def all_of(tail: Tail, most: int = CHUNK) -> list[bytes]:
    lines: list[bytes] = []
    while True:
        got = tail.read(most)
        lines += got.lines
        if not got.remaining:
            return lines


def test_a_partial_last_line_waits_for_its_end(tmp_path: Path) -> None:
    path = tmp_path / "session.jsonl"
    path.write_bytes(b"one\ntw")
    tail = Tail(path)
    assert tail.read().lines == [b"one"]
    with path.open("ab") as file:
        file.write(b"o\nthree\n")
    assert tail.read().lines == [b"two", b"three"]
    assert tail.read().lines == []


def test_only_the_new_part_is_read(tmp_path: Path) -> None:
    path = tmp_path / "session.jsonl"
    path.write_bytes(b"x" * 100 + b"\n")
    tail = Tail(path)
    tail.read()
    with path.open("ab") as file:
        file.write(b"new\n")
    before = tail.offset
    assert tail.read().lines == [b"new"]
    assert (before, tail.offset) == (101, 105)


def test_a_file_that_was_cut_is_read_from_its_beginning(tmp_path: Path) -> None:
    path = tmp_path / "session.jsonl"
    path.write_bytes(b"one\ntwo\n")
    tail = Tail(path)
    assert not tail.read().restarted
    path.write_bytes(b"new\n")
    got = tail.read()
    assert (got.restarted, got.lines) == (True, [b"new"])


def test_a_file_cut_and_grown_beyond_where_it_was_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "session.jsonl"
    path.write_bytes(b"one\ntwo\n")
    tail = Tail(path)
    tail.read()
    path.write_bytes(b"quite another file\nand more of it\n")  # the same inode, and longer
    got = tail.read()
    assert (got.restarted, got.lines) == (True, [b"quite another file", b"and more of it"])


def test_a_file_that_was_replaced_is_read_from_its_beginning(tmp_path: Path) -> None:
    path, other = tmp_path / "session.jsonl", tmp_path / "other"
    path.write_bytes(b"one\n")
    tail = Tail(path)
    tail.read()
    other.write_bytes(b"one\ntwo\n")  # begins alike: only its inode tells
    os.replace(other, path)
    got = tail.read()
    assert (got.restarted, got.lines) == (True, [b"one", b"two"])


def test_a_line_over_the_limit_is_skipped_and_counted_and_the_next_is_read(tmp_path: Path) -> None:
    path = tmp_path / "session.jsonl"
    path.write_bytes(b"one\n" + b"x" * (LINE_LIMIT + 1) + b"\ntwo\n" + b"y" * (LINE_LIMIT + CHUNK) + b"\nthree\n")
    tail = Tail(path)
    assert all_of(tail) == [b"one", b"two", b"three"]
    assert tail.too_long == 2


def test_a_line_of_just_the_limit_is_read(tmp_path: Path) -> None:
    path = tmp_path / "session.jsonl"
    path.write_bytes(b"x" * LINE_LIMIT + b"\n")
    assert [len(line) for line in all_of(Tail(path))] == [LINE_LIMIT]


def test_begun_in_the_middle_of_a_file_the_rest_of_that_line_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "session.jsonl"
    path.write_bytes(b"long ago\nthe end of it\nlast\n")
    assert Tail(path, start=12).read().lines == [b"last"]


@given(st.lists(st.binary(max_size=40), max_size=12), st.lists(st.integers(1, 50), min_size=1, max_size=8))
def test_however_a_file_grows_and_however_it_is_read_its_lines_are_the_same(
    pieces: list[bytes], reads: list[int]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "session.jsonl"
        path.touch()
        tail, lines = Tail(path), []
        for number, piece in enumerate([*pieces, b"\n"]):
            with path.open("ab") as file:
                file.write(piece)
            lines += tail.read(reads[number % len(reads)]).lines
        lines += all_of(tail, reads[0])
        whole = b"".join(pieces) + b"\n"
        assert lines == [line for line in whole.split(b"\n") if line.strip()]
        assert tail.offset == len(whole)
