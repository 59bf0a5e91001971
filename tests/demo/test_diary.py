"""Diaries: whole lines only, from all files, in the order of time."""

from __future__ import annotations

from pathlib import Path

from demo.diary import Diary, Entry, Reader, read


def test_what_was_written_is_read(tmp_path: Path) -> None:
    with_facts, plain = Diary(tmp_path, "b"), Diary(tmp_path, "a")
    with_facts.write("got", token=7, gpus=[0, 1])
    plain.write("done")
    first, second = read(tmp_path)
    assert (first.who, first.what, first.facts) == ("b", "got", {"token": 7, "gpus": [0, 1]})
    assert (second.who, second.what, second.facts) == ("a", "done", {})
    assert 0 < first.at <= second.at


def test_a_line_cut_in_half_was_not_written(tmp_path: Path) -> None:
    (tmp_path / "a.diary").write_text('{"at": 1.0, "what": "want"}\n{"at": 2.0, "what": "lea')
    assert read(tmp_path) == [Entry("a", 1.0, "want", {})]


def test_a_reader_tells_each_entry_once_and_whole(tmp_path: Path) -> None:
    reader, path = Reader(tmp_path), tmp_path / "a.diary"
    path.write_text('{"at": 1.0, "what": "want"}\n{"at": 2.0, ')
    assert [entry.at for entry in reader.news()] == [1.0]
    assert reader.news() == []
    with path.open("a") as file:
        file.write('"what": "done"}\n')
    assert [entry.what for entry in reader.news()] == ["done"]
