# make demo    serve the example on 127.0.0.1:8000 until Ctrl-C (PORT=8080 make demo chooses another)
# make test    everything: the checks, what the tests need, all tests (ARGS="-k drain" for some)
# make check   ruff, mypy --strict and the architecture test
# make simulate  the engine in virtual time, SEEDS=10000 stories of faults (SEED=7 tells one aloud)
# make faults  a thousand faults over a fleet of real processes, and figures (FAULTS=100 for some)
# make bench   the library beside its peers, in under five minutes, and whether it has become slower
# make bench-full  the same with more repeats, and fleets of up to 200 instances; from them the
#              figures of docs/performance.md and docs/scaling.md
# make clean   remove what the others made in the checkout
#
# Everything lives in .venv, and the peers in .venv-peers. Another Python: make PYTHON=python3.12 test

PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$python && break; done)
RUN = .venv/bin/python

# The oldest redis-py that we promise to work with.
OLDEST_REDIS = redis==5.0.1

.PHONY: demo test check simulate faults bench bench-full servers contract-oldest-redis venv peers clean
# `make -j` would mix the output and let pytest's closing line drown.
.NOTPARALLEL:

# exec: no shell between make and the launcher, which ends its servers on Ctrl-C and on TERM.
demo: venv
	@exec $(RUN) -m flask_example

test: check servers contract-oldest-redis
	$(RUN) -m pytest $(ARGS)

check: venv
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy
	$(RUN) -m pytest --quiet tests/test_architecture.py

SEEDS ?= 10000

simulate: venv
	$(RUN) -m tests.simulation --seeds $(SEEDS) $(if $(SEED),--seed $(SEED))

# As long as it takes: about a quarter of an hour. SEED=… repeats the choices of an earlier run.
FAULTS ?= 1000

faults: servers
	$(RUN) -m tests.faults --faults $(FAULTS) $(if $(SEED),--seed $(SEED))

# The guard also where a goal was missed.
bench: peers
	@status=0; \
	$(RUN) -m benchmarks || status=$$?; \
	$(RUN) -m benchmarks.guard || status=$$?; \
	exit $$status

bench-full: peers
	@status=0; \
	$(RUN) -m benchmarks --full || status=$$?; \
	$(RUN) -m benchmarks.scale --full || status=$$?; \
	.venv-peers/bin/python -m benchmarks.draw || status=$$?; \
	$(RUN) -m benchmarks.guard || status=$$?; \
	exit $$status

servers: venv
	@.ci/servers

peers: venv
	@.ci/servers benchmarks
	@"$(PYTHON)" .ci/venv .venv-peers benchmarks/contenders/requirements.txt

# Before the main run, so that the summary of all tests is the last line.
contract-oldest-redis: servers
	@echo "The store's contract on $(OLDEST_REDIS):"
	aside=$$($(RUN) -m tests.support.aside '$(OLDEST_REDIS)' 'fakeredis[lua]') && \
	PYTHONPATH="$$aside" $(RUN) -m pytest --quiet tests/contract

venv:
	@command -v "$(PYTHON)" >/dev/null || { \
		echo "No Python 3.11 or newer found ($(PYTHON)). Name one: make PYTHON=python3.12" >&2; \
		exit 1; }
	@"$(PYTHON)" .ci/venv .venv

clean:
	rm -rf .venv .venv.lock .venv-peers .venv-peers.lock .aside build dist *.egg-info
	rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find jobrunner flask_example tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
