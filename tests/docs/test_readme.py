"""`README.md`: its screenshot is what the renderer draws, and its programs run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gpulock.options import parse
from gpulockd.config import Config
from gpulockd.ctl.render.look import Look
from gpulockd.ctl.render.status import picture
from tests.support.daemon import Daemon

from . import programs
from .markdown import ROOT, Block, blocks
from .prose import commands, words
from .screens import host

DOCUMENT = ROOT / "README.md"
PROGRAMS = blocks(DOCUMENT, "python")
FIRST_SCREEN = 45
"""Lines that are seen at once."""

READERS_OWN = """
def train(env, token):
    assert len(env["CUDA_VISIBLE_DEVICES"].split(",")) == 2 and token > 0

def model(page):
    import os
    assert os.environ["CUDA_VISIBLE_DEVICES"]
    return page
"""
AND_THEN = "if 'recognise' in globals(): assert recognise('page') == 'page'"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with Daemon(tmp_path_factory.mktemp("d"), simulate=2) as daemon:
        yield daemon


def test_the_screenshot_is_what_the_renderer_draws() -> None:
    screen = "".join(line.written(colour=False, unicode=True) + "\n" for line in picture(host(), Look(width=80)))
    (shown,) = (block for block in blocks(DOCUMENT, "console") if block.content.startswith("$ gpulockctl status\n"))
    assert shown.content == f"$ gpulockctl status\n{screen}"
    assert shown.line + len(shown.content.splitlines()) < FIRST_SCREEN


@pytest.mark.parametrize("block", PROGRAMS, ids=lambda block: f"line-{block.line}")
def test_the_programs_run(daemon: Daemon, block: Block, tmp_path: Path) -> None:
    before = len(programs.locks_taken(daemon))
    programs.run(block, daemon, tmp_path, before=READERS_OWN, after=AND_THEN)
    assert len(programs.locks_taken(daemon)) == before + 1


def test_there_are_three_ways_to_use_it() -> None:
    assert [("with " in block.content, "@" in block.content) for block in PROGRAMS] == [(True, False), (False, True)]
    (line,) = (words(said.text) for said in commands(DOCUMENT) if said.text.startswith("gpulock "))
    assert parse(line[1:]).command == ("python", "train.py")


def test_the_newcomers_two_commands() -> None:
    typed = [said.text for said in commands(DOCUMENT)]
    assert [command for command in typed if command.startswith("make ")] == ["make demo", "make test"]


def test_the_times_that_it_names() -> None:
    config = Config()
    assert (config.gpu_lock.max_wait_time, config.gpu_lock.lock_timeout) == (30 * 60, 60 * 60)
    assert (config.daemon.revoke_grace, config.daemon.kill_grace) == (10, 5)
