"""The settings, from the environment where a deployment wants to choose."""

import os
from datetime import timedelta

#: Where visits are kept. None: a SQLite file in the instance folder.
DATABASE_URL = os.environ.get("DATABASE_URL") or None

#: Where the runners of all workers meet, and where the shared summary lies.
JOBRUNNER_REDIS_URL = os.environ.get("REDIS_URL") or "redis://localhost:6379/0"

#: How long single visits are kept. Their sums per minute stay.
KEEP_VISITS = timedelta(hours=1)
