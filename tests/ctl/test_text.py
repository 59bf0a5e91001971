"""Text of known width that cannot steer a terminal."""

from __future__ import annotations

import pytest

from gpulockd.ctl.render.text import Text, ascii_only, join, measure, printable


@pytest.mark.parametrize(
    ("text", "width"),
    [("", 0), ("plain", 5), ("█▏░…·", 5), ("学習", 4), ("e\N{COMBINING ACUTE ACCENT}t", 2), ("ｆｕｌｌ", 8)],
)
def test_width_is_counted_in_columns(text: str, width: int) -> None:
    assert Text(text).width == measure(text) == width


@pytest.mark.parametrize(
    "hostile",
    [
        "\x1b[2J\x1b[31mred",
        "bell\x07",
        "\x9b31m",
        "back\b\b\bspace",
        "right\N{RIGHT-TO-LEFT OVERRIDE}to left",
        "zero\N{ZERO WIDTH SPACE}width",
        "\x1b]0;title\x07",
    ],
)
def test_nothing_that_steers_a_terminal_gets_through(hostile: str) -> None:
    written = Text(hostile).written(colour=False, unicode=True)
    assert written.isprintable()
    assert measure(written) == Text(hostile).width
    assert Text(hostile).written(colour=False, unicode=False).isascii()


def test_line_breaks_and_tabs_become_blanks() -> None:
    assert printable("a\nb\tc\r") == "a b c "


def test_cut_shows_that_something_is_missing() -> None:
    assert Text("transcribe").cut(6).plain == "trans…"
    assert Text("short").cut(5).plain == "short"
    assert (Text("two ", "bad") + "spans").cut(6).plain == "two s…"
    assert Text("学習する").cut(4).plain == "学…"  # half a character is not shown
    assert Text("anything").cut(1).plain == "…"
    assert Text("anything").cut(0).plain == ""


@pytest.mark.parametrize("align", ["left", "right"])
@pytest.mark.parametrize("text", ["", "a", "学習", "much longer than eight"])
def test_fill_is_exact(text: str, align: str) -> None:
    assert Text(text).fill(8, "right" if align == "right" else "left").width == 8


def test_wrap_breaks_between_words_and_cuts_long_ones() -> None:
    lines = Text("one two  three incomprehensibilities", "warn").wrap(9)
    assert [line.plain for line in lines] == ["one two", "three", "incompre…"]
    assert {style for line in lines for _, style in line.spans} == {"warn"}
    assert Text().wrap(9) == []


def test_colour_is_written_per_span_and_only_when_asked() -> None:
    text = Text("sick", "bad") + " plain " + Text("quiet", "quiet")
    assert text.written(colour=True, unicode=True) == "\x1b[1;31msick\x1b[0m plain \x1b[2mquiet\x1b[0m"
    assert text.written(colour=False, unicode=True) == "sick plain quiet"


def test_blanks_at_the_end_of_a_line_are_not_written() -> None:
    assert (Text("end") + "  " + Text("   ", "bad")).written(colour=True, unicode=True) == "end"
    assert (Text(" in") + "side  ").written(colour=False, unicode=True) == " inside"


def test_ascii_keeps_the_columns() -> None:
    for text in ("██▌░ 4 × H100 · 学習…", "■□▲ – →"):
        assert ascii_only(text).isascii()
        assert len(ascii_only(text)) == measure(text)
    assert ascii_only("██▌▎░ 4 × H100 · x…") == "###.. 4 x H100 - x~"


def test_join_leaves_out_what_is_empty() -> None:
    assert join(", ", ["a", Text(), "", "b"]).plain == "a, b"
    assert not join(", ", [])
