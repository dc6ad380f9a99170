"""Serve the example with gunicorn, with a Redis server of its own unless REDIS_URL names one."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from .embedded_redis import embedded_redis
from .processes import start_process

HOST = "127.0.0.1"
STOP_SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}


class LaunchError(Exception):
    """Raised when the example cannot be served. The text says what to do."""


def main() -> int:
    """Serve until Ctrl-C, TERM or HUP, and return the exit status."""
    try:
        port = port_to_serve_on(os.environ.get("PORT") or "8000")
        hold_signals()
        with redis_for_all_workers() as redis_url:
            return serve(port, redis_url)
    except (LaunchError, OSError) as error:
        print(f"flask_example: {error}", file=sys.stderr)
        return 1


def port_to_serve_on(text: str) -> int:
    """Return the port that `text` names if it can be opened."""
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise LaunchError(
            f"PORT={text!r} is not a port. Give a number from 1 to 65535, such as PORT=8001."
        )
    port = int(text)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise LaunchError(
                f"port {port} of {HOST} cannot be opened ({error.strerror}). "
                f"Choose another with PORT=, such as PORT={other_port(port)}."
            ) from error
    return port


def other_port(port: int) -> int:
    return port + 1 if 1024 <= port < 65535 else 8001


def hold_signals() -> None:
    """Keep signals waiting until `serve` asks for them, so that none comes at an awkward moment.

    The handlers do nothing; they are set because a signal that is ignored (as Ctrl-C is by what a
    script starts in the background) would never wait.
    """
    for number in STOP_SIGNALS | {signal.SIGCHLD}:
        signal.signal(number, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS | {signal.SIGCHLD})


def redis_for_all_workers() -> AbstractContextManager[str]:
    """Return a context whose value is the URL of the Redis that all workers share."""
    url = os.environ.get("REDIS_URL")
    return nullcontext(url) if url else embedded_redis()


def serve(port: int, redis_url: str) -> int:
    """Run gunicorn until somebody stops us or it ends by itself, and return its exit status."""
    gunicorn = start_process(gunicorn_command(port), env={**os.environ, "REDIS_URL": redis_url})
    print(f"The example is at http://{HOST}:{port}/ until you press Ctrl-C.", flush=True)
    while gunicorn.poll() is None:
        if signal.sigwait(STOP_SIGNALS | {signal.SIGCHLD}) in STOP_SIGNALS:
            gunicorn.terminate()  # TERM: requests and jobs that are running may finish
    return exit_status(gunicorn)


def gunicorn_command(port: int) -> list[str]:
    """Return the command that a deployment would use as well."""
    settings = Path(__file__).with_name("gunicorn.conf.py")
    command = f"-m gunicorn -k gevent -w 2 -b {HOST}:{port} -c".split()
    return [sys.executable, *command, str(settings), "flask_example:create_app()"]


def exit_status(process: subprocess.Popen[bytes]) -> int:
    """Return the status of a process that has ended, as a shell gives it."""
    status = process.wait()
    return status if status >= 0 else 128 - status
