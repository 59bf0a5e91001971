"""Numbers in words, English and Chinese."""

from __future__ import annotations

from collections.abc import Mapping


def by_word(spoken: Mapping[float, str]) -> dict[str, float]:
    """The number that each word means, of a table that has the words of each number as `one|一`."""
    return {word: number for number, words in spoken.items() for word in words.split("|")}


NUMERALS: Mapping[str, float] = by_word(
    {
        0.5: "half|半",
        1: "one|一",
        2: "two|两|二",
        3: "three|三",
        4: "four|四",
        5: "five|五",
        6: "six|六",
        7: "seven|七",
        8: "eight|八",
        9: "nine|九",
        10: "ten|十",
        12: "twelve|十二",
        15: "fifteen|十五",
        20: "twenty|二十",
        30: "thirty|三十",
        40: "forty|四十",
        50: "fifty|五十",
        60: "sixty|六十",
        90: "ninety|九十",
    }
)
"""Those that stand before a unit: "ten minutes"."""
