"""`python -m conveyor` is the command line."""

from conveyor.cli.main import main

main()
