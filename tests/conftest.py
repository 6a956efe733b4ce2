"""Lets tests import what stands beside them; examples of properties are the same every time."""

import sys
from pathlib import Path

from hypothesis import settings

sys.path.insert(0, str(Path(__file__).parent))

settings.register_profile("choreo", derandomize=True)
settings.load_profile("choreo")
