"""What is done otherwise on a hub that is busy with requests.

A turn of it takes as long as all requests that are ready to be answered, 40 ms and more, and Redis
a part of that: who gives up the hub until Redis has answered is late by a turn. So the answer is
waited for where it is asked for, and the requests wait for those few milliseconds. On any other hub
it is the work of the runner that lets the requests in between.
"""

from __future__ import annotations

import select

import gevent
from gevent import monkey

#: A hub that wakes the loop so many seconds late is busy.
BUSY = 0.005

#: For so long an answer of Redis may hold up the hub; one that takes longer is waited for as ever.
_MOST_MS = 5

#: The system's own: gevent's would give up the hub.
_poll = monkey.get_original("select", "poll")


def wait_here(descriptor: int) -> None:
    """Until something can be read, for a few milliseconds, and let nobody else go first."""
    poll = _poll()
    poll.register(descriptor, select.POLLIN)
    poll.poll(_MOST_MS)


def turn_of_the_loop() -> None:
    """Let all go first for whom the loop has something by now. A sleep of no seconds does not: it
    lets those alone go that are called already.
    """
    hub = gevent.get_hub()
    timer = hub.loop.timer(0)
    try:
        hub.wait(timer)
    finally:
        timer.close()
