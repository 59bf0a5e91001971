"""Every rule that reads documents, in English and in Chinese: the error where it stands, and nothing without it.

`«wrong¦right»` is what is planted, and what would be right there.
"""

from __future__ import annotations

import pytest

from gpulockd.audit.rules import RULES

from .marked import Workshop
from .test_documents import planted_in, without

FILES = {
    "docs/operations.md": "# Operations\n\n## Redis\n\n## 故障排查\n",
    "monitoring/locks.yml": "groups: [{name: a, rules: [{alert: GPULockLost}]}]\n",
    "gpulockd/engine.py": "class Engine:\n    def turned(self): ...\n",
    "Makefile": "lint:\n\ttrue\n",
}
ALERTS = "alerts: [monitoring/*.yml]\n"

PLANTED: dict[str, tuple[str, str]] = {
    "value-in-block": (
        "```yaml\ngpu_lock:\n  poll_interval: «0.5¦2»\n```\n",
        "配置如下：\n\n```yaml\ngpu_lock:\n  max_wait_time: «5m¦30m»\n```\n",
    ),
    "value-in-table": (
        "| key | value |\n|---|---|\n| `lock_timeout` | «10 min¦60 min» |\n",
        "| 配置项 | 当前值 |\n|---|---|\n| `lock_timeout` | «１０分钟¦１小时» |\n",
    ),
    "value-in-prose": (
        "- The daemon polls every «500 ms¦2 s».\n",
        "- 当前轮询间隔为«500 毫秒¦2 秒»。\n",
    ),
    "value-in-environment": (
        "```sh\nexport GPU_LOCK_POLL_INTERVAL=«0.5¦2»\n```\n",
        "设置环境变量：\n\n```sh\nexport GPU_LOCK_POLL_INTERVAL=«0.5¦2»  # 秒\n```\n",
    ),
    "key-unknown": (
        "Look at `«gpu_lock.max_retries¦gpu_lock.max_wait_time»`.\n",
        "```yaml\ngpu_lock:\n  «重试次数¦poll_interval»: 2\n```\n",
    ),
    "block-broken": (
        "```yaml\ngpu_lock:\n  poll_interval: 2\n  max_wait_time: «[¦»1800\n```\n",
        "例如：\n\n```yaml\ngpu_lock:\n  poll_interval: 2\n  lock_timeout: «{¦»3600\n```\n",
    ),
    "suggestion-columns": (
        (
            "| «parameter¦setting» | current | suggested«¦ | gain | risk | verified» |\n|---|---|---«¦|---|---|---»|\n"
            "| `poll_interval` | 2 | 1 «¦| faster | load | no »|\n"
        ),
        (
            "| «参数¦参数» | 当前值 | 建议值«¦ | 预期收益 | 风险 | 验证状态» |\n|---|---|---«¦|---|---|---»|\n"
            "| `poll_interval` | 2 | 1 «¦| 更快 | 负载 | 待验证 »|\n"
        ),
    ),
    "suggestion-unproven": (
        (
            "| key | current | suggested | gain | risk | verified |\n|---|---|---|---|---|---|\n"
            "| `poll_interval` | 2 | 1 | faster | load | «verified¦not verified» |\n"
        ),
        (
            "| 配置项 | 当前值 | 建议值 | 预期收益 | 风险 | 验证状态 |\n|---|---|---|---|---|---|\n"
            "| `poll_interval` | 2 | 1 | 更快 | 负载 | «✅ 已验证¦待验证» |\n"
        ),
    ),
    "suggestion-unsupported": (
        (
            "| key | current | suggested | gain | risk | verified |\n|---|---|---|---|---|---|\n"
            "| `poll_interval` | 2 | 1 | faster | load | «[verified](operations.md)¦[not verified](operations.md)» |\n"
        ),
        (
            "| 配置项 | 当前值 | 建议值 | 预期收益 | 风险 | 验证状态 |\n|---|---|---|---|---|---|\n"
            "| `poll_interval` | 2 | 1 | 更快 | 负载 | «[已验证](operations.md)¦[待验证](operations.md)» |\n"
        ),
    ),
    "claim-unproven": (
        "The handover is «40 % faster¦faster» now.\n",
        "轮询优化«已完成¦正在进行»，等待时间明显变短。\n",
    ),
    "header-disagrees": (
        "# Guide\n\nVersion: 2.1\n\n## Text\n\nText.\n\n---\n\nVersion: «2.0¦2.1»\n",
        "# 指南\n\n最后更新：2025年3月1日\n\n## 正文\n\n正文。\n\n---\n\n最后更新：«2025-02-01¦2025-03-01»\n",
    ),
    "link-broken": (
        "See [operations](«operation.md¦operations.md»).\n",
        "参见[运维文档](«运维.md¦operations.md»)。\n",
    ),
    "anchor-broken": (
        "See [Redis](«operations.md#reddis¦operations.md#redis»).\n",
        "参见[故障排查](«operations.md#故障¦operations.md#故障排查»)。\n",
    ),
    "path-missing": (
        "The alerts are in `«monitoring/lock.yml¦monitoring/locks.yml»`.\n",
        "告警规则位于 `«monitoring/告警.yml¦monitoring/locks.yml»`。\n",
    ),
    "symbol-missing": (
        "It is done by `«gpulockd.engine.Engine.turn¦gpulockd.engine.Engine.turned»`.\n",
        "由 `«gpulockd.engine.Motor¦gpulockd.engine.Engine»` 负责。\n",
    ),
    "command-unknown": (
        "Type `gpulockctl «statsu¦status»`.\n",
        "```console\n$ make «lnit¦lint»   # 检查\n```\n",
    ),
    "option-unknown": (
        "```console\n$ gpulock «--wiat¦--wait» 30m -- true\n```\n",
        "执行 `gpulockctl status «--全部¦--watch»` 查看。\n",
    ),
    "exit-code-unknown": (
        "It exits with code «74¦75» if the GPU is taken.\n",
        "等待超时的退出码为 «125¦124»。\n",
    ),
    "route-unknown": (
        "Ask `GET «/healthz¦/health»`.\n",
        "访问 http://localhost:8788«/指标¦/metrics» 查看。\n",
    ),
    "method-unknown": (
        "```sh\ncurl «-X POST ¦»http://localhost:8788/health\n```\n",
        "调用 `«DELETE¦GET» /metrics` 即可。\n",
    ),
    "port-differs": (
        '```yaml\ntargets: ["localhost:«8789¦8788»"]\n```\n',
        "```sh\n# 健康检查\ncurl http://127.0.0.1:«8778¦8788»/health\n```\n",
    ),
    "metric-unknown": (
        "Look at `«gpu_lock_waiting¦gpu_lock_waiters»`.\n",
        "指标 `«gpu_lock_losses_total¦gpu_lock_lost_total»` 不应增长。\n",
    ),
    "alert-unknown": (
        "The alert `«GPULockLots¦GPULockLost»` comes.\n",
        "| 告警 | 含义 |\n|---|---|\n| `«GPULockLots¦GPULockLost»` | 锁丢失 |\n",
    ),
    "variable-unknown": (
        "Set `«GPULOCKD__REDIS__URI¦GPULOCKD__REDIS__URL»`.\n",
        "环境变量 `«GPU_LOCK_MAXWAIT¦GPU_LOCK_MAX_WAIT_TIME»` 优先。\n",
    ),
    "block-refused": (
        "For example:\n\n```yaml\ngpu_lock_monitor:\n  heartbeat:\n    interval: «400¦40»\n```\n",
        "示例：\n\n```yaml\ngpu_lock:\n  poll_interval: «20¦5»  # 秒\n```\n",
    ),
    "suppression-unused": (
        "Text. «<!-- audit: ignore value-in-prose the number is a joke -->¦»\n",
        "正文。«<!-- audit: ignore value-in-prose 此处为示意 -->¦»\n",
    ),
    "suppression-unreasoned": (
        "«<!-- audit: ignore claim-unproven -->¦»\n\nText.\n",
        "«<!-- audit: ignore claim-unproven -->¦»\n\n正文。\n",
    ),
    "suppression-unknown": (
        "«<!-- audit: ignore value-in-poem it rhymes -->¦»\n\nText.\n",
        "«<!-- audit: ignore 数值 此处为示意 -->¦»\n\n正文。\n",
    ),
}
OF_EDITIONS = {rule for rule in RULES if rule.startswith("edition-")}
"""Planted in `test_editions.py`, in a Chinese edition beside an English one."""
OF_FILES = {
    *("file-unreadable", "file-outside"),  # test_command.py
    *("key-undocumented", "key-hidden", "key-foreign", "files-disagree", "default-differs"),  # test_keys.py
    *("key-unread", "code-default-differs", "settings-refused"),  # test_code.py
    *("deployment-differs", "live-differs", "live-metric-missing"),  # test_deployment.py, test_live.py
}
"""About configurations, code and daemons, whatever the language."""


@pytest.fixture
def tree(workshop: Workshop) -> Workshop:
    for name, content in FILES.items():
        workshop.write(name, content)
    return workshop


@pytest.mark.parametrize("language", [0, 1], ids=["English", "Chinese"])
@pytest.mark.parametrize("rule", PLANTED)
def test_it_is_found_where_it_stands_and_nothing_without_it(tree: Workshop, rule: str, language: int) -> None:
    text, expected = planted_in(PLANTED[rule][language])
    tree.write("docs/guide.md", text)
    found = tree.audit("docs/guide.md", rules=ALERTS).findings
    assert [(each.rule, each.place.line) for each in found] == [(rule, mark.line) for mark in expected[:1]]
    tree.write("docs/guide.md", without(PLANTED[rule][language]))
    assert [each.message for each in tree.audit("docs/guide.md", rules=ALERTS).findings] == []


def test_every_rule_is_planted_somewhere() -> None:
    assert {*PLANTED, *OF_EDITIONS, *OF_FILES} == set(RULES)
