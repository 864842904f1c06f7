"""`python -m streams.cli` is `notifier`."""

from streams.cli.main import main

main()
