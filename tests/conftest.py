from __future__ import annotations

import asyncio

# looptime asks for the current loop in synchronous tests too, and would be given a new one that nobody closes
asyncio.set_event_loop(None)
