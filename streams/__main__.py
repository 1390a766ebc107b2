"""`python -m streams` is `tidegate`."""

from streams.cli import main

main()
