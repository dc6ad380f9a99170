"""Names and keys made of anything: refused at registration, or they work; nothing in between."""

import random

import fakeredis
import pytest

from jobrunner import Job, JobContext, JobRunner
from jobrunner.errors import InvalidJobError
from jobrunner.keys import JobKeys, default_sync_key, hash_tag

PIECES = (
    *("a", "job", "shop", ":", "{", "}", "{}", "{shop}", "{shop}:job:sound", ":state", ":lease"),
    *(" ", "\t", "\n", "\r\n", "\0", "\x1b[0m", "\x7f", "\u202e", "\u2028", "\ud800", "\udcff"),
    *("é", "日本", "🦊", "%s", "$(x)", "'", '"', "\\", "*", "?", "[", "x" * 3000),
)


class Anything(Job):
    interval = 60

    def __init__(self, name: object, sync_key: object) -> None:
        self.name = name  # type: ignore[assignment]
        self.sync_key = sync_key  # type: ignore[assignment]
        self.runs: list[str] = []

    def run(self, ctx: JobContext) -> None:
        self.runs.append(ctx.run.id)


def text_of(chance: random.Random) -> object:
    if chance.random() < 0.1:
        return chance.choice([None, b"bytes", b"\xff", 5, 1.5, [], object()])
    return "".join(chance.choices(PIECES, k=chance.randrange(5)))


def taken(client: fakeredis.FakeRedis, *jobs: Job) -> JobRunner | None:
    """A runner of these jobs; None when one of them was refused, in words that can be logged."""
    try:
        runner = JobRunner(jobs=jobs, redis=client, namespace="shop", mode="greenlet")
        runner.status()  # the namespace, which keys must not meet, is known from here on
    except InvalidJobError as refusal:
        str(refusal).encode("utf-8")
        return None
    return runner


@pytest.mark.parametrize("decade", range(25))
def test_a_job_of_any_name_and_key_is_refused_or_works_beside_others(decade: int) -> None:
    for seed in range(20 * decade, 20 * decade + 20):
        chance = random.Random(seed)
        name = text_of(chance) if chance.random() < 0.7 else "odd"
        sync_key = text_of(chance) if chance.random() < 0.7 else None
        client = fakeredis.FakeRedis(server=fakeredis.FakeServer())
        sound, odd = Anything("sound", None), Anything(name, sync_key)
        try:
            runner, registered = taken(client, sound, odd), True
            if runner is None:
                runner, registered = taken(client, sound), False
            assert runner is not None
            runner.tick(wait=True)
            assert 1 == len(sound.runs)
            assert registered == len(odd.runs)
            assert {None} == {job.problem for job in runner.status()}
            if registered:
                key = sync_key if sync_key is not None else default_sync_key("shop", str(name))
                keys = JobKeys.of(key).all()
                assert 1 == len({hash_tag(key) for key in keys})
                assert 4 == len(set(keys))
                assert 1 == len(runner.history(str(name)))
            runner.stop()
        except BaseException as error:
            error.add_note(f"seed {seed}: name={name!r:.200}, sync_key={sync_key!r:.200}")
            raise
