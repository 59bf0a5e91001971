"""The socket: is it there, is it one, and may this user connect to it?"""

from __future__ import annotations

import grp
import os
import pwd
import stat
from pathlib import Path

from gpulock.wire import DEFAULT_SOCKET

from .finding import Finding

GROUP = "gpulock"
_MODE = 0o660


def check(path: Path, *, systemd: bool) -> list[Finding]:
    directory = path.parent
    if not directory.is_dir():
        return [Finding("socket", "fail", f"its directory {directory} does not exist", _start(path, systemd))]
    if not os.access(directory, os.X_OK):
        return [Finding("socket", "fail", f"you may not enter {directory} ({_owned(directory)})", _join_group())]
    try:
        found = path.stat()
    except FileNotFoundError:
        return [Finding("socket", "fail", f"{path} does not exist: no daemon listens", _start(path, systemd))]
    if not stat.S_ISSOCK(found.st_mode):
        message = f"{path} is a {_kind(found.st_mode)}, not a socket"
        return [Finding("socket", "fail", message, f"move it away, then: {_start(path, systemd)}")]
    return [_form(path, found), _access(path, found)]


def _form(path: Path, found: os.stat_result) -> Finding:
    said = f"{path} ({_owned(path)})"
    mode = stat.S_IMODE(found.st_mode)
    if mode & stat.S_IWOTH:
        return Finding("socket", "warn", f"{said}: every user of this host may use it", f"chmod {_MODE:o} {path}")
    if str(path) == DEFAULT_SOCKET and _group(found.st_gid) != GROUP:
        return Finding("socket", "warn", f"{said}: its group is not {GROUP}", "systemctl restart gpulockd.socket")
    return Finding("socket", "ok", said)


def _access(path: Path, found: os.stat_result) -> Finding:
    user, group = _user(os.geteuid()), _group(found.st_gid)
    if os.geteuid() == 0:
        return Finding("access", "ok", "you are root")
    if os.access(path, os.W_OK):
        by = "owner" if found.st_uid == os.geteuid() else f"a member of {group}"
        return Finding("access", "ok", f"{user} may connect, as {by}")
    if _listed(user, found.st_gid):
        message = f"{user} is a member of {group}, but this login is older than that"
        return Finding("access", "fail", message, f"log in again, or: newgrp {group}")
    return Finding("access", "fail", f"{user} may not connect: not a member of {group}", _join_group(user, group))


def _start(path: Path, systemd: bool) -> str:
    if str(path) != DEFAULT_SOCKET:
        return "is GPULOCK_SOCKET or --socket right?"
    return "systemctl enable --now gpulockd.socket gpulockd.service" if systemd else "start gpulockd"


def _join_group(user: str = "", group: str = GROUP) -> str:
    return f"usermod --append --groups {group} {user or _user(os.geteuid())}, then log in again"


def _owned(path: Path) -> str:
    found = path.stat()
    return f"{stat.S_IMODE(found.st_mode):04o} {_user(found.st_uid)}:{_group(found.st_gid)}"


def _kind(mode: int) -> str:
    return "directory" if stat.S_ISDIR(mode) else "plain file" if stat.S_ISREG(mode) else "special file"


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return f"gid {gid}"


def _listed(user: str, gid: int) -> bool:
    try:
        return user in grp.getgrgid(gid).gr_mem
    except KeyError:
        return False
