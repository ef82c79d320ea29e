"""The loop that the benchmark `process` compares the watcher with, written in the simplest way.

It reads `VoiceConnectorId/TaskId` from each line of stdin, gives each task an asyncio task that polls it every five seconds, and prints
each new status as a line of JSON. It ends when stdin and all tasks have ended. AWS_RETRY_MODE sets the retry mode of the SDK.
"""

import asyncio
import json
import sys

import aioboto3
from botocore.exceptions import BotoCoreError, ClientError

EVERY_S = 5.0
ENDS = ("SUCCEEDED", "FAILED", "STOPPED")


async def main() -> None:
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    async with aioboto3.Session().client("chime-sdk-voice") as client, asyncio.TaskGroup() as tasks:
        print("started", file=sys.stderr, flush=True)
        async for line in lines:
            connector, task = line.decode().strip().split("/")
            tasks.create_task(watch(client, connector, task))


async def watch(client, connector: str, task: str) -> None:
    seen = None
    while True:
        try:
            reply = await client.get_speaker_search_task(VoiceConnectorId=connector, SpeakerSearchTaskId=task)
        except (BotoCoreError, ClientError) as error:
            print(f"{task}: {error}", file=sys.stderr, flush=True)
        else:
            status = reply["SpeakerSearchTask"]["SpeakerSearchTaskStatus"]
            if status != seen:
                seen = status
                print(json.dumps({"task": task, "status": status}), flush=True)
            if status in ENDS:
                return
        await asyncio.sleep(EVERY_S)


if __name__ == "__main__":
    asyncio.run(main())
