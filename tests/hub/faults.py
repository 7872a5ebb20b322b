"""What can go wrong between a client and the Hub, on demand."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal

Kind = Literal[
    "kill-before",
    "kill-midway",
    "kill-after",
    "drop",
    "drop-after",
    "500",
    "429",
    "truncate",
    "corrupt",
    "slow",
    "half-json",
    "other-json",
    "page",
]
"""kill-*: SIGKILL to the client before its request is handled, half-way through the content, or when it is
handled but not answered. drop: the connection closes half-way through what is sent; drop-after: instead of
the answer. 500 and 429 (Retry-After: 0) answer without handling. truncate: half of a download, then the end.
corrupt: one bit of the content differs. slow: the answer comes after `Faults.delay` seconds.
half-json, other-json, page: a proxy answers with status 200 and half of the JSON, JSON of another form, or a
page."""

ANSWERS: Final[tuple[Kind, ...]] = ("half-json", "other-json", "page")
"""Faults of an answer in JSON."""


@dataclass(frozen=True)
class Request:
    """A request since the faults were set, the `nth` of its method and path, counted from 0.

    Files go in parallel, so that the place of a request among all others differs between two runs.
    """

    method: str
    path: str
    nth: int


@dataclass
class Faults:
    """Which fault meets which request; `victim` is the process to kill. `seen` is what came, in order."""

    delay: float = 0.2
    victim: int | None = None
    seen: list[Request] = field(default_factory=list)
    injected: int = 0
    _waiting: list[tuple[Kind, Callable[[Request], bool]]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def set(self, kind: Kind | None, matches: Callable[[Request], bool] = bool) -> None:
        """Let the next request that matches meet `kind`; None: nothing goes wrong any more."""
        with self._lock:
            self.seen = []
            self.injected = 0
            self._waiting = [] if kind is None else [(kind, matches)]

    def add(self, kind: Kind, matches: Callable[[Request], bool] = bool) -> None:
        """One more fault, for another request that matches; it may come before those that were set."""
        with self._lock:
            self._waiting.append((kind, matches))

    def meet(self, method: str, path: str) -> Kind | None:
        """Note a request; the fault that it meets."""
        with self._lock:
            earlier = sum((one.method, one.path) == (method, path) for one in self.seen)
            request = Request(method, path, earlier)
            self.seen.append(request)
            for number, (kind, matches) in enumerate(self._waiting):
                if matches(request):
                    del self._waiting[number]
                    self.injected += 1
                    return kind
            return None

    def kill(self) -> None:
        """End the client as a power cut would."""
        assert self.victim is not None, "no client to kill"
        os.kill(self.victim, signal.SIGKILL)
