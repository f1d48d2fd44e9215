"""The benchmark's own modules are programs of hack/, not of the package."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "hack"))
