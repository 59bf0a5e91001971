"""A distribution in buckets, as Prometheus counts them."""

from __future__ import annotations

from gpulockd.http.histogram import Histogram


def test_a_value_is_counted_in_every_bucket_that_reaches_as_far() -> None:
    histogram = Histogram((1, 2.5))
    for value in (0.5, 1, 2, 7):
        histogram.observe(value)
    assert histogram.buckets() == [("1.0", 2.0), ("2.5", 3.0), ("+Inf", 4.0)]
    assert (histogram.count, histogram.total, histogram.mean) == (4, 10.5, 2.625)


def test_nothing_observed() -> None:
    histogram = Histogram((1,))
    assert histogram.buckets() == [("1.0", 0.0), ("+Inf", 0.0)]
    assert (histogram.count, histogram.mean) == (0, 0.0)
