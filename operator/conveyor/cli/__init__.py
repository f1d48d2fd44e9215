"""The command line: `conveyor`."""
