import asyncio


def pytest_configure() -> None:
    """looptime asks for the current loop before a sync test too; Python 3.11 would then make one that nobody closes."""
    asyncio.set_event_loop(None)
