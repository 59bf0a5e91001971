"""What /proc/PID/cgroup says, of version 1, version 2 and both at once."""

from __future__ import annotations

import pytest

from gpulockd.processes.cgroups import innermost, place, places, within

UNIFIED = "0::/system.slice/docker-3f4c.scope\n"
HYBRID = """\
5:freezer:/
4:cpu,cpuacct:/batch
1:name=systemd:/user.slice/user-1000.slice/session-3.scope
0::/user.slice/user-1000.slice/session-3.scope
"""
BATCH = """\
9:cpuset:/slurm/uid_1000/job_7/step_0/task_0
5:freezer:/slurm/uid_1000/job_7/step_0
1:name=systemd:/system.slice/slurmd.service
"""


@pytest.mark.parametrize(
    ("text", "group"),
    [
        pytest.param(UNIFIED, ":/system.slice/docker-3f4c.scope", id="version 2"),
        pytest.param(HYBRID, ":/user.slice/user-1000.slice/session-3.scope", id="both: the unified one"),
        pytest.param(BATCH, "freezer:/slurm/uid_1000/job_7/step_0", id="version 1: the one that says most"),
        pytest.param("3:cpu,cpuacct:/half\n", "", id="a share of the processors is no job"),
        pytest.param("0::/\n", "", id="everybody is in the root"),
        pytest.param("0::/../..\n", "", id="above a namespace's root"),
        pytest.param("0::/../other\n", ":/../other", id="beside a namespace's root"),
        pytest.param("0::/job (deleted)\n", ":/job", id="a zombie whose group is gone"),
        pytest.param("0::/a:b\n", ":/a:b", id="a colon in a name"),
        pytest.param("0::/a\u2028b\n", ":/a\u2028b", id="no line ends there"),
        pytest.param("1:name=systemd:/whole\n0::/whole/but-cut-o", "name=systemd:/whole", id="cut off"),
        pytest.param("", "", id="gone, or hidden"),
    ],
)
def test_the_group_that_says_most(text: str, group: str) -> None:
    assert innermost(places(text)) == group


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ("0::/jobs/7\n", True),
        ("0::/jobs/7/step\n", True),
        ("0::/jobs/7 (deleted)\n", True),
        ("0::/jobs/77\n", False),
        ("0::/jobs\n", False),
        ("0::/\n", False),
        ("", False),
        ("1:name=systemd:/jobs/7\n", False),
    ],
)
def test_a_group_has_those_below_it_and_nobody_else(text: str, inside: bool) -> None:
    assert within(places(text), ":/jobs/7") is inside


def test_what_is_written_down_is_read_back() -> None:
    assert within(place(innermost(places(BATCH))), "freezer:/slurm/uid_1000/job_7")
    assert place("") == {}
