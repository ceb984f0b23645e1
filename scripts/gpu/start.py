"""What comes before all other imports of a part: its start, and the order of its modules."""

import sys
import time
from pathlib import Path

TIME = time.monotonic()  # slow imports count in a part's time limit
_HERE = Path(__file__).parent
# This folder goes last: its loss.py would hide the benchmark's, its profile.py Python's own
sys.path.remove(str(_HERE))
sys.path.insert(0, str(_HERE.parent / "benchmark"))
sys.path.append(str(_HERE))
