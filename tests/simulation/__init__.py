"""The library's engine and its scripts in virtual time, under faults that a seed decides.

Each instance is a real `Scheduler`, `Executor` and `LeaseKeeper` over a real `RedisStore`, whose
shipped Lua runs on fakeredis; between them stands a wire that loses, delays and repeats. Only time
is not real: the hub's timers, Redis's TIME and the expiry of its keys, the instances' clocks. So
minutes pass in milliseconds, and a seed tells the same story each time.

    plan         what happens, from a seed: jobs, instances, faults, people
    world        lets it happen, event by event
    watch        objects when a promise of the library is broken
    shrink       leaves of a story only what it takes to break the promise
    planted      bugs that must be found

`python -m tests.simulation --seeds 1000`, or `make simulate SEEDS=1000`, tells many stories;
`--seed 7` tells one aloud.
"""
