"""Something that runs beside a test until the test has what it wants, such as a server."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress


@asynccontextmanager
async def in_background(run: Coroutine[object, object, None]) -> AsyncIterator[None]:
    """Run *run* until the block ends; raises what it died of, if it did."""
    task = asyncio.create_task(run)
    await asyncio.sleep(0)  # let it begin
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
