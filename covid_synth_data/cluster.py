"""A Ray cluster: the connection, and a function of many items whose tasks Ray gives to the nodes.

    with cluster.spread("auto") as over:
        for result in over(work, items, 16):

Results come back in the order of the items, so whoever asks writes the same files as without a cluster. Every
node needs this package, and what the items name at the same paths.

These are tasks of Ray and no Ray Dataset: Ray Data starts a task whose process dies again without end, and
takes all items at once.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, Protocol, TypeVar

from covid_synth_data.errors import ClusterError, ConfigError, CovidSynthError, MissingExtra

RETRIES: Final = 2
"""How often the work of a process that died is given to another."""

KNOCK_SECONDS: Final = 10.0
"""How long an address may take to answer at all."""

TASKS_PER_CORE: Final = 4
"""Tasks that are on their way at a time; their items and results are in memory."""

Item = TypeVar("Item")
Result = TypeVar("Result")


class Spread(Protocol):
    """A function of many items, done by others."""

    def __call__(
        self, work: Callable[[Item], Result], items: Iterable[Item], each: int = 1, *, gpu: bool = False
    ) -> Iterator[Result]:
        """`work` of each item, in the order of the items; a task has `each` items, and a GPU with `gpu`.

        Items and results are pickled. An error of ours that `work` raises is raised here as it is, once the
        results before it have been given. Raises `ClusterError` where a process dies again and again.
        """


@contextlib.contextmanager
def connected(address: str) -> Iterator[Any]:
    """The module `ray`, connected ("local": to the cores of this machine); disconnected afterwards where it
    was not before. Raises `MissingExtra`, and `ConfigError` where no cluster answers."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ModuleNotFoundError as error:
        raise MissingExtra(str(error.name), "ray") from error
    before = ray.is_initialized()
    if not before:
        try:
            _knock(address)
            options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
            ray.init(address=None if address == "local" else address, **options)
        except (OSError, ValueError, RuntimeError) as error:
            raise ConfigError(
                f"no Ray cluster answers at {address!r}",
                found=str(error).split("\n")[0][:120],
                expected='HOST:PORT, ray://HOST:PORT, "auto" or "local"',
                hint="start one with ray start --head, or leave --ray out",
            ) from error
    try:
        yield ray
    finally:
        if not before:
            ray.shutdown()


def _knock(address: str) -> None:
    """Raise `OSError` within seconds where nothing listens at HOST:PORT; Ray itself tries for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdecimal():
        with socket.create_connection((host.strip("[]"), int(port)), timeout=KNOCK_SECONDS):
            pass


@contextlib.contextmanager
def spread(address: str | None) -> Iterator[Spread | None]:
    """The cluster at `address` as a `Spread`; None for no address. Raises as `connected` does."""
    if address is None:
        yield None
        return
    with connected(address) as ray:
        yield functools.partial(_spread, ray)


def _spread(
    ray: Any, work: Callable[[Item], Result], items: Iterable[Item], each: int = 1, *, gpu: bool = False
) -> Iterator[Result]:
    """See `Spread`."""
    remote = ray.remote(num_cpus=1, num_gpus=int(gpu), max_retries=RETRIES)(_work)
    ahead = TASKS_PER_CORE * max(int(ray.cluster_resources().get("CPU", 1)), 1)
    stored, waiting = ray.put(work), iter(items)
    tasks: deque[Any] = deque()
    try:
        while part := list(itertools.islice(waiting, each)):
            tasks.append(remote.remote(stored, part))
            if len(tasks) >= ahead:
                yield from _answers(ray, tasks.popleft())
        while tasks:
            yield from _answers(ray, tasks.popleft())
    finally:
        for task in tasks:
            ray.cancel(task, force=True)


def _answers(ray: Any, task: Any) -> Iterator[Any]:
    """The results of a task. Raises an error of ours that it met, and `ClusterError`."""
    try:
        done, error = ray.get(task)
    except ray.exceptions.RayTaskError:
        raise  # an error of the code, with the traceback of the node
    except ray.exceptions.RayError as lost:
        raise ClusterError(
            "work on the cluster was lost",
            found=f"{type(lost).__name__} after {RETRIES} further tries",
            expected="a node that lives until it is done",
            hint="see the log of Ray, for want of memory above all; the same command goes on from here",
        ) from lost
    yield from done
    if error is not None:
        raise error


def _work(work: Callable[[Any], Any], items: list[Any]) -> tuple[list[Any], CovidSynthError | None]:
    """The results of some items, on a node, and the error of ours that ended them early."""
    done = []
    for item in items:
        try:
            done.append(work(item))
        except CovidSynthError as error:
            return done, error
    return done, None
