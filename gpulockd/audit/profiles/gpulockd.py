"""gpulockd itself: the model of its configuration, its commands, its HTTP routes, its metrics.

The one file of the audit that knows the daemon.
"""

from __future__ import annotations

import inspect
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NotRequired, Required, cast, get_args, get_origin, get_type_hints, is_typeddict

from gpulock import options
from gpulock.documents import StatusDocument

from ... import arguments
from ...config.environment import NAMES, OLDER_NAMES, REDIS_NAMES
from ...config.keys import PROFILES, SETTINGS, value_of
from ...config.loading import load
from ...config.model import Config
from ...config.problems import ConfigError
from ...http import metrics
from ...http.server import HttpServer
from ..commandline import Program, of_parser
from ..quantities import Value
from ..rulesfile import RulesFile
from ..source import Source
from ..truths import Binding, Refusal, Setting, Truths
from .generic import alerts_of, bindings_of, unit_by_name, values_of

_MODEL = "gpulockd/config/model.py"
_OTHER_VARIABLES = (
    "GPULOCK_SOCKET",
    "GPULOCK_LOCK",
    "GPULOCK_TOKEN",
    "GPULOCKD_FDSTORE",
    "CUDA_VISIBLE_DEVICES",
    "CUDA_DEVICE_ORDER",
    *REDIS_NAMES,
)
_SPOKEN = {
    "轮询间隔": "gpu_lock.poll_interval",
    "最大轮询间隔": "gpu_lock.max_poll_interval",
    "最长等待时间": "gpu_lock.max_wait_time",
    "最大等待时间": "gpu_lock.max_wait_time",
    "锁超时": "gpu_lock.lock_timeout",
    "锁超时时间": "gpu_lock.lock_timeout",
    "硬超时": "gpu_lock_monitor.timeout_levels.hard_timeout",
    "软超时": "gpu_lock_monitor.timeout_levels.soft_timeout",
    "监控间隔": "gpu_lock_monitor.monitor_interval",
    "心跳间隔": "gpu_lock_monitor.heartbeat.interval",
    "心跳超时": "gpu_lock_monitor.heartbeat.timeout",
    "heartbeat interval": "gpu_lock_monitor.heartbeat.interval",
    "heartbeat timeout": "gpu_lock_monitor.heartbeat.timeout",
    "polls every": "gpu_lock.poll_interval",
}

_EXIT_CODES = frozenset((0, 1, 2, 69, 70, 75, 76, 77, 78, 124, 126, 127))
"""Of all three commands; a test holds them equal to what the commands themselves have."""

_SOCKET_UNITS, _SERVICE_UNITS = "gpulockd.socket", "gpulockd.service"
_BINDINGS = (
    Binding(_SOCKET_UNITS, r"^ListenStream=(\S+)$", "daemon.socket", why="clients look for the socket there"),
    Binding(
        _SERVICE_UNITS, r"^LimitNOFILE=(\d+)$", "daemon.max_sessions", "at-least", 2, "a session takes two descriptors"
    ),
)


class Gpulockd:
    """`gpulockctl` hands its own parsers over, since it stands above the audit."""

    def __init__(self, gpulockctl: Program) -> None:
        self._gpulockctl = gpulockctl

    def fits(self, configs: Sequence[Source]) -> bool:
        sections = tuple(f"{name}:" for name in Config.model_fields)
        tops = [line for source in configs for line in source.text.splitlines() if re.match(r"\w+:", line)]
        return bool(tops) and all(line.startswith(sections) for line in tops)

    def truths(self, configs: Sequence[Source], rules: RulesFile, root: Path) -> Truths:
        defaults = _defaults()
        # Those of profiles are somebody's own: they have no defaults, and `_refuses` knows what is wrong with them.
        given = values_of(configs, rules)
        values = {key: settings for key, settings in given.items() if key.partition(".")[0] != PROFILES}
        units = {
            key: [replace(each, unit=defaults[key].unit if key in defaults else None) for each in settings]
            for key, settings in values.items()
        }
        return Truths(
            units,
            defaults,
            variables={**NAMES, **OLDER_NAMES, **dict.fromkeys(_OTHER_VARIABLES), **dict.fromkeys(rules.variables)},
            variable_prefixes=("GPULOCKD_", "GPULOCK_", "GPU_LOCK_"),
            spoken={**_SPOKEN, **rules.names},
            programs=self._programs(),
            routes=_routes(),
            metrics=_metrics(),
            metric_prefixes=("gpu_lock_", "gpulockd_"),
            other_names=frozenset(("gpu_lock_monitor",)),
            exit_codes=_EXIT_CODES,
            port_keys=("http.port",),
            alerts=alerts_of(rules, root),
            bindings=(*_BINDINGS, *bindings_of(rules)),
            refuses=_refuses,
            is_complete=(root / _MODEL).is_file(),
            declared_in="gpulockd.config.model",
            packages=tuple(name for name in ("gpulockd", "client/gpulock") if (root / name).is_dir()),
        )

    def _programs(self) -> Mapping[str, Program]:
        gpulock = Program("gpulock", options.spellings(), wraps=True, origin="gpulock --help")
        return {"gpulock": gpulock, "gpulockctl": self._gpulockctl, "gpulockd": of_parser(arguments.parser())}


def _refuses(text: str) -> list[Refusal]:
    """By the rules that the daemon's own start checks."""
    with tempfile.NamedTemporaryFile(suffix=".yml") as file:
        file.write(text.encode())
        file.flush()
        try:
            load(Path(file.name), {})
        except ConfigError as error:
            return [
                Refusal(
                    each.line or 1,
                    each.column or 1,
                    f"{each.key}: {each.message}" if each.key else each.message,
                    each.hint,
                    each.message == "unknown key",
                )
                for each in error.problems
            ]
    return []


def _defaults() -> dict[str, Setting]:
    config = Config()
    return {key: Setting(key, _plain(value_of(config, key)), _MODEL, _unit(key)) for key in SETTINGS}


def _unit(key: str) -> str:
    """Every duration of the model is in seconds, and is a float there; nothing else is. Names tell of bytes."""
    return "s" if SETTINGS[key].annotation is float else unit_by_name(key.rpartition(".")[2]) or ""


def _plain(value: object) -> Value:
    return str(value) if isinstance(value, Path) else cast(Value, value)


def _routes() -> dict[str, frozenset[str]]:
    server = HttpServer("", 0, status=_no_status, metrics=metrics.Metrics())
    found: dict[str, frozenset[str]] = {}
    for route in server.application().router.routes():
        path = route.resource.canonical if route.resource else ""
        found[path] = found.get(path, frozenset()) | {route.method}
    return found


def _metrics() -> frozenset[str]:
    """Those of the registry, and those that its code names and that only some states of a host have."""
    body, _ = metrics.Metrics().exposition(_no_status(), "")
    named = re.findall(r'"((?:gpu_lock|gpulockd)_\w+)"', inspect.getsource(metrics))
    return frozenset((*re.findall(r"^# TYPE (\w+)", body.decode(), re.MULTILINE), *named))


def _no_status() -> StatusDocument:
    """The status of a host without anything: enough for a registry to tell what it has."""
    return cast(StatusDocument, _nothing(StatusDocument))


def _nothing(form: Any) -> Any:
    """The emptiest value that has the form of an answer."""
    origin, inner = get_origin(form), get_args(form)
    if is_typeddict(form):
        return {name: _nothing(each) for name, each in get_type_hints(form).items()}
    if origin in (NotRequired, Required):
        return _nothing(inner[0])
    if origin is Literal:
        return inner[0]
    if inner and origin not in (list, dict, tuple):  # a union: whatever comes first, but nothing if that may be
        return None if type(None) in inner else _nothing(inner[0])
    return (origin or form)() if callable(origin or form) else None
