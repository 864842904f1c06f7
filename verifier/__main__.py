"""`python -m verifier conservation --kafka HOST:PORT --json`: prints what the topics show; exit 0
conserved, 1 not, 3 no Kafka.
"""

import argparse
import json
import sys

from confluent_kafka import KafkaException

from verifier.conservation import Conservation, Report
from verifier.topics import DECISIONS, Topics, UnreachableError, collect


def main(arguments: list[str]) -> int:
    """Run one check. Returns the exit code."""
    options = _parser().parse_args(arguments)
    topics = Topics(options.kafka)
    try:
        evidence = collect(topics, decisions=options.decisions_topic)
    except (UnreachableError, KafkaException) as error:
        sys.stderr.write(f"verifier: cannot read {options.kafka}: {error}\n")
        return 3
    finally:
        topics.close()
    report = Conservation(evidence, is_exactly_once=options.guarantee == "exactly_once").run()
    sys.stdout.write(json.dumps(report.as_json()) + "\n" if options.json else as_text(report))
    return 0 if report.is_conserved else 1


def as_text(report: Report) -> str:
    """Return the report as lines for people."""
    shown = report.as_json()
    lines = [f"{name}: {shown[name]}" for name in shown if name != "violations"]
    return "\n".join([*lines, *shown["violations"]]) + "\n"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="verifier", description="Checks a notifier from its topics alone.")
    checks = parser.add_subparsers(required=True, metavar="CHECK")
    one = checks.add_parser("conservation", help="every record decided once, everything sent as decided")
    one.add_argument("--kafka", required=True, metavar="HOST:PORT")
    one.add_argument("--guarantee", choices=("exactly_once", "at_least_once"), default="exactly_once")
    one.add_argument("--decisions-topic", default=DECISIONS, metavar="TOPIC", help="read decisions from here")
    one.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
