"""`python -m tests.simulation --seeds 2000`, or `--seed 7`; a failing seed is told with its command."""

import argparse
import logging
import sys

from tests.simulation.clock import StuckError
from tests.simulation.run import simulate

SHOWN = 10


def main(arguments: list[str]) -> int:
    """Run seeds; 0 if nothing was found in any."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how many, from --first on")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, help="this one alone, with what workers say")
    parser.add_argument(
        "--stop",
        nargs="?",
        const="",
        metavar="NAME",
        help="stop at the first seed that fails, or fails by NAME",
    )
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO if options.seed is not None else logging.CRITICAL)
    first, count = (options.first, options.seeds) if options.seed is None else (options.seed, 1)
    ran = failed = 0
    for seed in range(first, first + count):
        told = _told(seed)
        ran += 1
        if told:
            failed += 1
            sys.stdout.write(f"seed {seed}: {'; '.join(told)}\n")
            sys.stdout.write(f"  replay: PYTHONHASHSEED=0 python -m tests.simulation --seed {seed}\n")
            if options.stop is not None and any(one.startswith(options.stop) for one in told):
                break
    sys.stdout.write(f"{ran} seeds, {failed} failed\n")
    return 1 if failed else 0


def _told(seed: int) -> list[str]:
    """Return what went wrong with a seed."""
    try:
        found = simulate(seed)
    except StuckError:
        return ["STUCK: not everything was decided after all was well again"]
    return [f"{one.name} {violation}" for one in found for violation in one.violations[:SHOWN]]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
