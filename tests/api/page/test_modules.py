"""The modules of the page that decide something, run in the browser without a watcher."""

import random
from contextlib import asynccontextmanager

import pytest

from tests.chromium import browser
from watcher.api.page.routes import HEADERS, page_files

pytestmark = pytest.mark.process

FILES = {file.path: file for file in page_files()}
STREAM = "retry: 1000\n\nid: a\ndata: 1\n\n: comment\n\nid: b\n\nid: c\r\ndata: 2\r\ndata:3\r\n\r\ndata: 4\r\rid\n\ndata: half of a bl"
BLOCKS = [["a", "1"], ["b", ""], ["c", "2\n3"], [None, "4"], ["", ""]]
DURATIONS = {0: "0 s", 0.0004: "0 ms", 0.042: "42 ms", 0.42: "0.42 s", 4.2: "4.2 s", 42: "42 s", 60: "1 min", 95: "1 min 35 s", 3600: "1 h"}
DURATIONS |= {5000: "1 h 23 min", 86_400: "1 d", 100_000: "1 d 3 h", 1_000_000: "11 d"}
SENTENCES = {
    "store": "The store has not worked",
    "leases": "This replica has not renewed its leases",
    "source:tasks": "Source tasks has not worked",
    "sink:crm-eu": "Sink crm-eu has not worked",
    "quota:voice-tone": "All calls under the quota voice-tone have been throttled",
    "circuit:credentials": "The credentials have not been accepted",
    "circuit:outage:chime-sdk-voice": "chime-sdk-voice has not answered",
    "circuit:unreadable:chime-sdk-voice": "The replies of chime-sdk-voice have not been readable",
    "circuit:not_found:chime-sdk-voice": "No task has been found at chime-sdk-voice",
    "quota:voice-tone:eu": "All calls under the quota voice-tone (eu) have been throttled",
    "circuit:credentials:eu": "The credentials of the target eu have not been accepted",
    "circuit:outage:chime-sdk-voice:eu": "chime-sdk-voice (eu) has not answered",
    "circuit:of_a_later_version:chime-sdk-voice": "Circuit of_a_later_version (chime-sdk-voice) has been open",
}


@asynccontextmanager
async def blank_page():
    """A page of the origin of the modules, which are served from the package."""

    async def answer(route):
        file = FILES.get(route.request.url.removeprefix("http://page.test"))
        body, media_type = (file.body, file.media_type) if file else (b"", "text/html")
        await route.fulfill(body=body, content_type=media_type, headers=HEADERS if file else {})

    async with browser() as chromium:
        page = await chromium.new_page()
        await page.route("**/*", answer)
        await page.goto("http://page.test/blank")
        yield page
        await page.close()


async def check_first_sentences(page):
    """What does not work is said in words for which one need not know the components."""
    first = """async (names) => {
        const { sentence, troubles } = await import("/page/verdict.js");
        const components = names.map((name) => ({ name, ok: false, reason: "r", hint: "h", since: new Date() }));
        const overview = (each) => ({ components: [each], paused: [], calls: [], tasks: {}, replicas: { trouble: [] } });
        return components.map((each) => sentence(troubles(overview(each))).replace(/ since [0-9:]+[.]$/, ""));
    }"""
    assert await page.evaluate(first, list(SENTENCES)) == list(SENTENCES.values())


async def test_the_modules():
    """Server-sent events are read in any pieces; durations and problems are readable; keys keep escapes; only known members pass."""
    async with blank_page() as page:
        for seed in range(20):
            cuts = sorted(random.Random(seed).sample(range(len(STREAM)), seed))
            pieces = [STREAM[start:end] for start, end in zip([0, *cuts], [*cuts, len(STREAM)], strict=True)]
            read = """async (pieces) => {
                const { blockReader } = await import("/page/stream.js");
                const found = [];
                const take = blockReader(({ id, data }) => found.push([id ?? null, data]));
                pieces.forEach(take);
                return found;
            }"""
            assert await page.evaluate(read, pieces) == BLOCKS, pieces
        written = """async (values) => {
            const { duration } = await import("/page/format.js");
            return values.map(duration);
        }"""
        assert await page.evaluate(written, list(DURATIONS)) == list(DURATIONS.values())
        path = """async (key) => (await import("/page/format.js")).keyPath(key)"""
        assert await page.evaluate(path, "kind/a%2Fb/c d") == "kind/a%252Fb/c%20d"
        data = {
            "from": None,
            "to": "X",
            "terminal": False,
            "result": "canary",
            "message": "canary",
            "context": "canary",
            "detection_lag_s": 1,
        }
        known = """async (event) => JSON.stringify((await import("/page/stream.js")).transition(event))"""
        found = await page.evaluate(known, {"type": "t", "subject": "k/1", "data": data})
        assert ('"to":"X"' in found, "canary" in found) == (True, False)
        await check_first_sentences(page)
