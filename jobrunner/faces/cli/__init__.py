"""`flask jobs`: the jobs of the application on the command line.

Exit codes: 0 done; 1 failed (the run did not succeed, Redis is away, a finding of `doctor` is a
failure); 2 wrong use (an unknown job or option); 3 refused (the job is held, nothing runs).

With rich installed (the extra `cli`) and a terminal, tables and progress are drawn by it; else
all is plain text. What comes from Redis is made harmless before a terminal sees it (`safe.py`).
"""

from . import acting, here, looking, upkeep, watching
from .group import jobs

__all__ = ["acting", "here", "jobs", "looking", "upkeep", "watching"]
