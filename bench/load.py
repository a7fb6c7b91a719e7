"""Requests over connections that are kept alive, closed (each connection asks as soon as it has its answer) or open (so many a second).

In an open loop the clock of a request starts when it is due, not when a connection is free for it, so that a service that falls behind
cannot hide it (Tene's coordinated omission).
"""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import numpy as np


@dataclass
class Asked:
    """One request, as bytes to send."""

    method: str
    path: str
    body: bytes = b""

    def wire(self, host: str) -> bytes:
        """The request."""
        head = f"{self.method} {self.path} HTTP/1.1\r\nHost: {host}\r\n"
        more = f"Content-Type: application/json\r\nContent-Length: {len(self.body)}\r\n" if self.body else ""
        return (head + more + "\r\n").encode() + self.body


@dataclass
class Told:
    """What came back: seconds each took, and how many of each status (0: the connection broke)."""

    seconds: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)
    lasted_s: float = 0.0

    def add(self, status: int, seconds: float) -> None:
        """Count one answer."""
        self.statuses[status] = self.statuses.get(status, 0) + 1
        self.seconds.append(seconds)

    @property
    def failed(self) -> int:
        """Answers other than 2xx, and none."""
        return sum(count for status, count in self.statuses.items() if not 200 <= status < 300)

    def figures(self) -> dict[str, float]:
        """A row of a table."""
        p50, p99 = np.percentile(self.seconds, [50, 99]) * 1000 if self.seconds else (0.0, 0.0)
        return {"per_s": round(len(self.seconds) / self.lasted_s, 1), "p50_ms": round(float(p50), 2), "p99_ms": round(float(p99), 2),
                "failed": self.failed, "requests": len(self.seconds)}  # fmt: skip


def closed(address: str, requests: Iterator[Asked], lasts_s: float, connections: int) -> Told:
    """As fast as it answers."""
    return asyncio.run(_run(address, requests, lasts_s, connections, None))


def open_loop(address: str, requests: Iterator[Asked], lasts_s: float, connections: int, per_s: float) -> Told:
    """So many requests a second, whatever it answers."""
    return asyncio.run(_run(address, requests, lasts_s, connections, per_s))


async def _run(address: str, requests: Iterator[Asked], lasts_s: float, connections: int, per_s: float | None) -> Told:
    told, start = Told(), time.perf_counter()
    end, due = start + lasts_s, iter(range(1 << 62))

    async def connection() -> None:
        host, wire = urlsplit(address), None
        while (now := time.perf_counter()) < end or per_s is not None:
            begun = now if per_s is None else start + next(due) / per_s
            if begun >= end or now > end + lasts_s:
                break
            await asyncio.sleep(max(0.0, begun - now))
            try:
                if wire is None:
                    wire = await asyncio.open_connection(host.hostname, host.port)
                status = await one(*wire, next(requests).wire(host.netloc))
            except (OSError, asyncio.IncompleteReadError, ValueError):
                status, wire = 0, None
                await asyncio.sleep(0.01)
            told.add(status, time.perf_counter() - begun)
        if wire is not None:
            wire[1].close()

    await asyncio.gather(*(connection() for _ in range(connections)))
    told.lasted_s = time.perf_counter() - start
    return told


async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, wire: bytes) -> int:
    """Send one request and read its answer; returns the status."""
    writer.write(wire)
    head = await reader.readuntil(b"\r\n\r\n")
    lower = head.lower()
    at = lower.find(b"content-length:")
    if at >= 0:
        await reader.readexactly(int(lower[at + 15 : lower.index(b"\r\n", at)]))
    elif b"transfer-encoding: chunked" in lower:
        while (size := int(await reader.readline(), 16)) or await reader.readline() != b"\r\n":
            await reader.readexactly(size + 2)
    return int(head[9:12])
