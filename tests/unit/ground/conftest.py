"""Puts the development cluster's package (`hack/cluster`) on the path of its tests."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3] / "hack"))
