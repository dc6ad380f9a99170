"""Scenarios that mostly wait, side by side: each has servers of its own."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor


def together(*scenarios: Callable[[], object]) -> None:
    """Run all at once; every failure is in the ExceptionGroup that is raised."""
    with ThreadPoolExecutor(max(1, len(scenarios))) as pool:
        futures = [pool.submit(scenario) for scenario in scenarios]
    errors = []
    for scenario, future in zip(scenarios, futures, strict=True):
        error = future.exception()
        if error is not None:
            error.add_note(f"in {scenario}")
            errors.append(error)
    if errors:
        raise BaseExceptionGroup(f"{len(errors)} of {len(scenarios)} scenarios failed", errors)
