"""The sheet that charts are drawn on."""

from __future__ import annotations

import math
from xml.etree import ElementTree

from gpulockd.evidence.drawing import Layout, Sheet
from gpulockd.evidence.statistics import Estimate

SVG = "{http://www.w3.org/2000/svg}"


def drawn(*estimates: Estimate) -> ElementTree.Element:
    sheet = Sheet(Layout(100, 200, 50, row=20), "Waits <of> all", "s & more", 20 * len(estimates))
    sheet.tick(100, "0 <s>")
    for index, estimate in enumerate(estimates):
        sheet.bar(index, "a & b", 'fill="red"', estimate, lambda value: 100 + 20 * value)
    return ElementTree.fromstring(sheet.svg())


def test_whatever_it_is_told_it_is_well_formed() -> None:
    root = drawn(Estimate(1, 0, 2))
    assert root.attrib["aria-label"] == "Waits <of> all"
    words = [each.text for each in root.iter(f"{SVG}text")]
    assert words == ["Waits <of> all (s & more)", "0 <s>", "a & b", "1"]


def test_a_whisker_goes_from_low_to_high() -> None:
    root = drawn(Estimate(1, 0.5, 2))
    (whisker,) = [each for each in root.iter(f"{SVG}line") if each.attrib["class"] == "whisker"]
    assert (whisker.attrib["x1"], whisker.attrib["x2"]) == ("110.0", "140.0")


def test_one_that_knows_no_end_has_no_whisker_beyond_its_bar() -> None:
    root = drawn(Estimate(1, 0.5, math.inf))
    (whisker,) = [each for each in root.iter(f"{SVG}line") if each.attrib["class"] == "whisker"]
    assert whisker.attrib["x2"] == "120.0"
