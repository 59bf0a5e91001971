"""Which of these belongs to which of those."""

from __future__ import annotations

import pytest

from gpulockd.audit.alignment import aligned

PAIRS = {
    "as many": ("abc", "xyz", "ax by cz"),
    "one less": ("abcd", "abd", "aa bb c- dd"),
    "one more at the beginning": ("abc", "xabc", "-x aa bb cc"),
    "one more at the end": ("ab", "abx", "aa bb -x"),
    "changed and missing": ("aBcde", "abde", "aa Bb c- dd ee"),
    "none": ("", "ab", "-a -b"),
}


@pytest.mark.parametrize(("ones", "others", "expected"), PAIRS.values(), ids=PAIRS)
def test_pairs(ones: str, others: str, expected: str) -> None:
    pairs = aligned(ones, others, lambda letter: frozenset((letter,)))
    assert " ".join(f"{one or '-'}{other or '-'}" for one, other in pairs) == expected


def test_a_long_sequence_that_lacks_one() -> None:
    """It is found at once: what both begin and end with is not tried in pairs."""
    ones = list(range(20_000))
    pairs = aligned(ones, [*ones[:9_000], *ones[9_001:]], lambda number: frozenset((number,)))
    assert [pair for pair in pairs if pair[0] != pair[1]] == [(9_000, None)]


def test_too_many_that_differ_go_by_their_order() -> None:
    pairs = aligned(range(1_000), range(5_000, 6_001), lambda number: frozenset((number,)))
    assert (pairs[0], pairs[-1], len(pairs)) == ((0, 5_000), (None, 6_000), 1_001)
