"""`python -m conveyor` is the command line."""

from conveyor.cli import main

main()
