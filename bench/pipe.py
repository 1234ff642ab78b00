"""What it costs to bring a picture from the engine's process to the server: `python -m bench.pipe`."""

from __future__ import annotations

import asyncio
import statistics
import time

import numpy as np

from limner.process.child import Inbox, Send
from limner.process.supervised import SupervisedProcess

ROUNDS = 30


def answer(_: object, inbox: Inbox, send: Send) -> None:
    """The child: each message is answered with a picture of that size."""
    while True:
        size_px: int = inbox.wait()
        send(np.zeros((size_px, size_px, 3), dtype=np.uint8) if size_px else None)


async def main() -> None:
    got: asyncio.Queue[object] = asyncio.Queue()
    process = SupervisedProcess("bench.pipe:answer", None, on_message=got.put_nowait, on_exit=print)
    await process.start()
    while process.pid is None:
        await asyncio.sleep(0.01)
    await asyncio.sleep(1)
    print("| picture | there and back, median ms |\n| --- | --- |")
    for size_px in (0, 256, 512, 1024, 2048):
        times = []
        for _ in range(ROUNDS):
            began = time.perf_counter()
            process.send(size_px)
            await got.get()
            times.append(time.perf_counter() - began)
        print(f"| {size_px}×{size_px} | {statistics.median(times) * 1000:.2f} |")
    await process.stop()


if __name__ == "__main__":
    asyncio.run(main())
