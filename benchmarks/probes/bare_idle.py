"""The limit of an idle instance: a greenlet that sends Redis one command a second, and nothing
else. `python -m benchmarks.probes.bare_idle URL WATCH` tells the share of a core that it takes.
"""

from gevent import monkey

monkey.patch_all()

import json  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402

import gevent  # noqa: E402
import redis  # noqa: E402


def main(url: str, watch: float) -> None:
    client = redis.Redis.from_url(url)
    client.ping()

    def ask() -> None:
        while True:
            gevent.sleep(1)
            client.ping()

    asking = gevent.spawn(ask)
    began, cpu = time.perf_counter(), time.process_time()
    gevent.sleep(watch)
    share = (time.process_time() - cpu) / (time.perf_counter() - began)
    asking.kill()
    client.close()
    print(json.dumps({"idle": share}))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
