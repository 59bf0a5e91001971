"""`make demo`: workers compete for three simulated GPUs; one is killed, one waits in vain, and the daemon is killed.

Every line of the timeline is told from what the processes themselves wrote down, and so is the verdict at the end.
Exit status: 0 where it holds, 1 where it does not.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence

from demo.diary import now
from demo.history import Verdict, judge
from demo.stage import Stage, Trouble
from demo.timeline import Timeline

GPUS = 3
WORKERS = {
    "train": ("--gpus", "2", "--hold", "3", "--jobs", "1"),
    "ocr": ("--hold", "1.2"),
    "speech": ("--hold", "1.6"),
    "translate": ("--hold", "0.9"),
    "embed": ("--hold", "1.0"),
    "caption": ("--hold", "0.7"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make demo", description="The main job in one minute, on simulated GPUs.")
    parser.add_argument("--cheat", action="store_true", help="one more worker works without a lock: the verdict fails")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    origin = now()
    timeline = Timeline(origin)
    try:
        with Stage(GPUS, timeline.tell) as stage:
            perform(stage, timeline, cheat=options.cheat)
            verdict = judge(stage.entries, origin)
    except Trouble as trouble:
        print(f"the demonstration failed: {trouble}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped; nothing is left behind", file=sys.stderr)
        return 128 + signal.SIGINT
    return 0 if conclude(verdict, timeline) else 1


def perform(stage: Stage, timeline: Timeline, *, cheat: bool) -> None:
    scene = stage.scene
    timeline.head()
    stage.start_daemon()
    for name, options in WORKERS.items():
        stage.start_worker(name, *options)
    if cheat:
        stage.start_worker("cheat", "--cheat", "--hold", "1.5")

    # One asks for a GPU that is not given back in time.
    stage.until(lambda: "train" in scene.holding, "train holds two GPUs")
    taken = scene.holding["train"].facts["gpus"][0]
    stage.start_worker("preview", "--only", str(taken), "--wait", "1", "--expect", "timeout", "--jobs", "1")
    stage.until(lambda: stage.wrote("preview", "done"), "preview has given up")

    # A worker dies in the middle of its work: its GPU goes on to the next, and a new worker takes its place.
    stage.until(lambda: scene.held_for("speech") > 0.3, "speech has held a GPU for a while")
    stage.kill_worker("speech")
    stage.start_worker("speech-2", *WORKERS["speech"])
    compete(stage, 4)

    stage.until(lambda: scene.holders() >= 2 and len(scene.waiting) >= 2, "some hold and some wait")
    timeline.block("gpulockctl status", stage.ctl("status"))
    compete(stage, 4)

    # The daemon dies under load. Who holds goes on, who waits goes on waiting, and nobody has to be told.
    stage.until(lambda: scene.holders(at_most=0.5) >= 2 and len(scene.waiting) >= 2, "some have just begun to hold")
    stage.kill_daemon()
    stage.pause(0.3)
    stage.start_daemon()
    tasks = ", ".join(lock["task"] for lock in stage.status()["locks"])
    timeline.say("daemon", f"knows the locks of {tasks}")

    compete(stage, 4)
    timeline.say("everybody", "finishes")
    stage.finish()
    stage.until(lambda: not stage.status()["locks"], "the daemon knows of no lock any more")


def compete(stage: Stage, grants: int) -> None:
    enough = stage.scene.grants + grants
    stage.until(lambda: stage.scene.grants >= enough, f"{grants} more locks were granted")


def shortcomings(verdict: Verdict) -> list[str]:
    """What the demonstration should have shown and did not: a verdict on nothing is none."""
    return [
        f"{what} was not shown"
        for what, shown in {
            "a worker that dies while it holds": verdict.killed_holding == 1,
            "its GPU going on to the next": verdict.passed_on == verdict.killed_holding,
            "a request that waits in vain": verdict.timeouts == 1,
            "a death of the daemon under load": verdict.daemon_deaths == 1
            and verdict.confirmed == verdict.outlasted > 0,
        }.items()
        if not shown
    ]


def conclude(verdict: Verdict, timeline: Timeline) -> bool:
    """Tells the verdict; whether it is a good one."""
    findings = [*verdict.findings, *shortcomings(verdict)]
    if findings:
        timeline.verdict("The lock did not hold:", findings, good=False)
        return False
    timeline.verdict(
        "The lock held, by what the workers wrote down:",
        [
            f"{verdict.holds} locks, and no GPU had two holders at once",
            "each lock had a larger token than the one before it on that GPU",
            f"{verdict.killed_holding} worker was killed while it held; its GPU went on to the next",
            f"{verdict.outlasted} locks outlasted the daemon, and the next one knew them all: nobody lost a lock",
            f"every request was answered as it should be, {verdict.timeouts} of them by a timeout",
        ],
        good=True,
    )
    return True


if __name__ == "__main__":
    sys.exit(main())
