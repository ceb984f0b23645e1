"""What comes before all other imports of a part: its start, and the order of its modules."""

import sys
import time
from pathlib import Path

TIME = time.monotonic()  # slow imports count in a part's time limit
_HERE = Path(__file__).resolve().parent
# This folder goes last: its loss.py would hide the benchmark's, its profile.py Python's own
_OTHERS = [entry for entry in sys.path if Path(entry).resolve() != _HERE]
sys.path[:] = [str(_HERE.parent / "benchmark"), *_OTHERS, str(_HERE)]
