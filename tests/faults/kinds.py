"""The faults: what each does at once, what it does when it is over, and what it needs meanwhile."""

import random
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.faults import proxy as proxies
from tests.faults.fleet import LEASE, Fleet, Place
from tests.faults.judge import Evidence, Loss
from tests.faults.moments import moment_ms
from tests.faults.proxy import Once, Verdict

HOUR = 3600


def grants_a_claim(answer: bytes) -> bool:
    return b"claimed" in answer


def acknowledges_an_end(answer: bytes) -> bool:
    return b"finished" in answer


def renews(answer: bytes) -> bool:
    """Numbers alone: the other scripts answer words."""
    return answer.startswith(b"*") and b":1\r\n" in answer and b"$" not in answer


@dataclass
class Scene:
    """What a fault works on."""

    fleet: Fleet
    evidence: Evidence
    chance: random.Random
    #: Takes in the history, so that a loss of data does not take it away.
    harvest: Callable[[], None]


@dataclass
class Injected:
    """A fault that is on."""

    kind: str
    #: Called when it is over, `seconds` after it began.
    undo: Callable[[], Any]
    seconds: float
    #: Whether it struck: some wait for an answer that may not come.
    struck: Callable[[], bool] = lambda: True
    #: Whether it is over, once undone.
    is_over: Callable[[], bool] = lambda: True


def _nothing() -> None:
    pass


# -- of one worker -------------------------------------------------------------------------------


def kill(scene: Scene, place: Place) -> Injected:
    _kill(scene, place)
    place.fill()
    return Injected("killed", _nothing, 0)


def _kill(scene: Scene, place: Place) -> None:
    scene.evidence.dead.add(place.pid)
    place.send(signal.SIGKILL)


def terminate(scene: Scene, place: Place) -> Injected:
    return _replace("terminated", scene, [place])


def deploy(scene: Scene, places: list[Place]) -> Injected:
    """New workers for all that are free of faults."""
    return _replace("deployed", scene, places)


def _replace(kind: str, scene: Scene, places: list[Place]) -> Injected:
    leaving = [place.process for place in places]
    # It may find no Redis when it has something to record.
    scene.evidence.dead.update(process.pid for process in leaving)
    for place in places:
        place.send(signal.SIGTERM)
        place.fill()
    return Injected(
        kind, _nothing, 0, is_over=lambda: all(process.poll() is not None for process in leaving)
    )


def freeze(scene: Scene, place: Place) -> Injected:
    scene.evidence.frozen.add(place.pid)
    place.send(signal.SIGSTOP)
    return Injected("frozen", lambda: place.send(signal.SIGCONT), 3 * LEASE)


def clock_ahead(scene: Scene, place: Place) -> Injected:
    return _shift("clock + 1 h", place, HOUR, scene)


def clock_behind(scene: Scene, place: Place) -> Injected:
    return _shift("clock - 1 h", place, -HOUR, scene)


def _shift(kind: str, place: Place, seconds: int, scene: Scene) -> Injected:
    place.clock.shift(seconds)
    return Injected(kind, lambda: place.clock.shift(0), scene.chance.uniform(0.5, 3))


# -- between one worker and Redis ----------------------------------------------------------------


def swallow(scene: Scene, place: Place) -> Injected:
    return _link("link: swallows", scene, place, proxies.swallows, proxies.swallows)


def swallow_answers(scene: Scene, place: Place) -> Injected:
    return _link("link: swallows answers", scene, place, proxies.passes, proxies.swallows)


def delay(scene: Scene, place: Place) -> Injected:
    rule = proxies.delays(scene.chance.uniform(0.05, 0.4))
    return _link("link: delays", scene, place, rule, rule)


def half_close(scene: Scene, place: Place) -> Injected:
    return _link("link: half-closes", scene, place, proxies.passes, proxies.half_closes)


def cut(scene: Scene, place: Place) -> Injected:
    injected = _link("link: cut", scene, place, proxies.hangs_up, proxies.hangs_up)
    place.proxy.hang_up()
    return injected


def _link(
    kind: str, scene: Scene, place: Place, question: proxies.Rule, answer: proxies.Rule
) -> Injected:
    place.proxy.on_question, place.proxy.on_answer = question, answer

    def undo() -> None:
        place.proxy.behave()
        # What was swallowed leaves its connection out of step.
        place.proxy.hang_up()

    return Injected(kind, undo, scene.chance.choice([0.2, 0.6, 1.5 * LEASE]))


def lose_claim(scene: Scene, place: Place) -> Injected:
    return _once("answer lost: claim", place, grants_a_claim, _nothing, 1.5)


def lose_finish(scene: Scene, place: Place) -> Injected:
    return _once("answer lost: finish", place, acknowledges_an_end, _nothing, 1.5)


def lose_renewal(scene: Scene, place: Place) -> Injected:
    return _once("answer lost: renewal", place, renews, _nothing, 1.5)


def kill_in_claim(scene: Scene, place: Place) -> Injected:
    return _once(
        "killed in a claim", place, grants_a_claim, lambda: _kill(scene, place), 1.5, refill=True
    )


def freeze_in_claim(scene: Scene, place: Place) -> Injected:
    thawed = threading.Event()

    def thaw() -> None:
        place.send(signal.SIGCONT)
        thawed.set()

    def stop() -> None:
        scene.evidence.frozen.add(place.pid)
        place.send(signal.SIGSTOP)
        # The claim's answer is there when it goes on, three leases late.
        threading.Timer(3 * LEASE, thaw).start()

    injected = _once("frozen in a claim", place, grants_a_claim, stop, 1.5, Verdict.PASS)
    injected.is_over = lambda: not injected.struck() or thawed.is_set()
    return injected


def _once(
    kind: str,
    place: Place,
    meant: Callable[[bytes], bool],
    then: Callable[[], None],
    seconds: float,
    verdict: Verdict = Verdict.HANG_UP,
    *,
    refill: bool = False,
) -> Injected:
    rule = Once(meant, verdict, then)
    place.proxy.on_answer = rule

    def undo() -> None:
        place.proxy.behave()
        if refill and rule.struck:
            place.fill()

    return Injected(kind, undo, seconds, struck=lambda: rule.struck)


# -- of Redis ------------------------------------------------------------------------------------


def restart(scene: Scene) -> Injected:
    redis = scene.fleet.redis
    redis.stop()
    return Injected("redis restarted", redis.start, _while_away(scene))


def crash(scene: Scene) -> Injected:
    redis = scene.fleet.redis
    redis.crash()
    return Injected("redis crashed", redis.start, _while_away(scene))


def lose_data(scene: Scene) -> Injected:
    redis = scene.fleet.redis
    began = moment_ms() + scene.evidence.offset_ms
    with redis.silence():
        scene.harvest()
        redis.crash()
    redis.lose()

    def start() -> None:
        redis.start()
        over = moment_ms() + scene.evidence.offset_ms
        scene.evidence.losses.append(Loss(began, over))

    return Injected("redis restarted without data", start, _while_away(scene))


def flush_all(scene: Scene) -> Injected:
    began = moment_ms() + scene.evidence.offset_ms
    with scene.fleet.redis.silence():
        scene.harvest()
        scene.fleet.redis.flush()
    scene.evidence.losses.append(Loss(began, moment_ms() + scene.evidence.offset_ms))
    return Injected("flushall", _nothing, 0)


def pause_clients(scene: Scene) -> Injected:
    seconds = scene.chance.choice([0.2, 0.7, 2 * LEASE])
    scene.fleet.redis.pause_clients(seconds)
    return Injected("client pause", _nothing, seconds)


def freeze_redis(scene: Scene) -> Injected:
    scene.fleet.redis.pause()
    return Injected("redis frozen", scene.fleet.redis.resume, _while_away(scene))


def fill_disk(scene: Scene) -> Injected:
    redis = scene.fleet.redis
    redis.fill_disk()
    seen: list[bool] = []

    def undo() -> None:
        seen.append(redis.refuses_writes)
        redis.empty_disk()

    def is_over() -> bool:
        if redis.refuses_writes:
            return False
        redis.trust_disk()
        return True

    return Injected(
        "disk full", undo, 1.5 * LEASE, struck=lambda: bool(seen and seen[0]), is_over=is_over
    )


def _while_away(scene: Scene) -> float:
    return scene.chance.choice([0.1, 0.5, 1.5 * LEASE])


#: The faults of a worker and of its link, each with its weight in the choice.
OF_A_PLACE: dict[Callable[[Scene, Place], Injected], int] = {
    kill: 4,
    terminate: 3,
    freeze: 3,
    clock_ahead: 2,
    clock_behind: 2,
    swallow: 2,
    swallow_answers: 2,
    delay: 2,
    half_close: 2,
    cut: 2,
    lose_claim: 3,
    lose_finish: 3,
    lose_renewal: 2,
    kill_in_claim: 4,
    freeze_in_claim: 2,
}

#: The faults of Redis that keep its data, and those that lose it.
OF_REDIS: dict[Callable[[Scene], Injected], int] = {
    restart: 2,
    crash: 2,
    pause_clients: 3,
    freeze_redis: 2,
    fill_disk: 2,
}
LOSSES: dict[Callable[[Scene], Injected], int] = {lose_data: 1, flush_all: 2}
