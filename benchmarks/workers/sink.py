"""A receiver of OTLP that counts requests and keeps nothing; prints its port. `python -m benchmarks.workers.sink`."""

from __future__ import annotations

import asyncio
import sys

from aiohttp import web


async def _taken(request: web.Request) -> web.Response:
    await request.read()
    return web.Response(content_type="application/x-protobuf")


async def _serve() -> None:
    app = web.Application(client_max_size=64 * 1_048_576)
    app.router.add_post("/v1/traces", _taken)
    app.router.add_post("/v1/metrics", _taken)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    sys.stdout.write(f"{runner.addresses[0][1]}\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)  # until whoever started it is gone
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(_serve())
