"""One seed's whole story, many seeds' digests, or fresh seeds for as long as you like.

    python -m tests.simulation 4711               what happens in the world of that seed, to its end
    python -m tests.simulation --range 0 2000     a digest for each seed
    python -m tests.simulation --soak 60          fresh seeds for a minute

An interrupt (Ctrl-C) ends a soak after the seed at hand, and a second one at once; what it has seen until then is told.
Exit status: 0 where no law was broken, 1 where one was, 130 where none was and there were to be more seeds.
"""

from __future__ import annotations

import argparse
import math
import random
import signal
import sys

from .run import Total, outcomes, report, soak
from .world import simulate

INTERRUPTED = 128 + signal.SIGINT


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("seeds", type=int, nargs="*", help="tell the story of each")
    parser.add_argument("--range", type=int, nargs=2, metavar=("FIRST", "COUNT"), help="digests of so many seeds")
    parser.add_argument("--soak", type=float, metavar="SECONDS", help="run fresh seeds; 0: without end")
    options = parser.parse_args()
    total = Total()
    for seed in options.seeds:
        outcome = simulate(seed)
        total.add(outcome)
        print(outcome.story.end(sys.maxsize))
        print(f"digest {outcome.digest}\n" + (report(outcome) if outcome.findings else "no law was broken"))
    if options.range:
        first, count = options.range
        for outcome in outcomes(range(first, first + count)):
            total.add(outcome)
            print(outcome.seed, outcome.digest, flush=True)
            if outcome.findings:
                print(report(outcome), file=sys.stderr, flush=True)
    if options.soak is not None:
        first = random.SystemRandom().randrange(10**6, 10**12)
        total = soak(options.soak or math.inf, first)
    if total.seeds and not options.seeds:
        print(total, file=sys.stderr)
    if total.failed:
        return 1
    return INTERRUPTED if total.interrupted else 0


if __name__ == "__main__":
    sys.exit(main())
