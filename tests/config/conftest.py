"""Every test writes its `config.yml` into a folder of its own and stands in it, so that errors name it shortly."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from gpulockd.config import ConfigError, Loaded, load

Loads = Callable[..., Loaded]
Complaints = Callable[..., list[str]]


@pytest.fixture
def loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Loads:
    """`loads(text, environ)`: the configuration of a file with that content."""
    monkeypatch.chdir(tmp_path)

    def load_text(content: str | bytes, environ: Mapping[str, str] | None = None) -> Loaded:
        path = Path("config.yml")
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return load(path, environ or {})

    return load_text


@pytest.fixture
def complaints(loads: Loads) -> Complaints:
    """`complaints(text, environ)`: the lines of the error, hints included."""

    def lines(content: str | bytes, environ: Mapping[str, str] | None = None) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            loads(content, environ)
        assert str(caught.value) == "\n".join(str(problem) for problem in caught.value.problems)
        return str(caught.value).splitlines()

    return lines
