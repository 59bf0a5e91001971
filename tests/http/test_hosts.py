"""Which names a request may call the server by: a page that rebinds its own name to the loopback is not served."""

from __future__ import annotations

import pytest

from gpulockd.http.hosts import is_loopback, is_ours

OWN = ("gpu-07", "")


@pytest.mark.parametrize(
    "header",
    [
        *("127.0.0.1", "127.0.0.1:8788", "127.1.2.3:80", "[::1]", "[::1]:8788"),
        *("localhost", "LOCALHOST:8788", "localhost.", "a.localhost:1", "gpu-07", "GPU-07:8788", "gpu-07."),
    ],
)
def test_the_loopback_and_our_own_name(header: str) -> None:
    assert is_ours(header, OWN)


@pytest.mark.parametrize(
    "header",
    [
        *(
            "evil.example",
            "evil.example:8788",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "gpu-07.evil.example",
        ),
        *("192.0.2.1", "192.0.2.1:8788", "[2001:db8::1]:8788", "notlocalhost", ":8788", "0.0.0.0", "2130706433"),
    ],
)
def test_anybody_else(header: str) -> None:
    assert not is_ours(header, OWN)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "gpu-07", ""])
def test_what_is_no_loopback(host: str) -> None:
    assert not is_loopback(host)
