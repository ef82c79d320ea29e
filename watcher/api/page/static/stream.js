// Follows the events of the API as server-sent events, over fetch, so that a token can be sent. Reconnects with growing waits.

import { Refused, Unauthorized, request } from "./api.js";

const FIRST_WAIT = 1000;
const LONGEST_WAIT = 30_000;
const SILENCE = 45_000; // the server sends at least a cursor every 15 s
const AWAY = 60_000; // a page that was hidden for longer starts with new events

/** Splits a stream of text into blocks {id, data}. Call it with each piece; it calls `onBlock`. */
export function blockReader(onBlock) {
  let rest = "";
  let block = { id: undefined, data: [] };
  return (piece) => {
    const lines = (rest + piece).split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop();
    for (const line of lines) {
      if (line === "") {
        if (block.id !== undefined || block.data.length) onBlock({ id: block.id, data: block.data.join("\n") });
        block = { id: undefined, data: [] };
        continue;
      }
      const colon = line.indexOf(":");
      const name = colon < 0 ? line : line.slice(0, colon);
      const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
      if (name === "id") block.id = value;
      else if (name === "data") block.data.push(value);
    }
  };
}

/** The members of an event that the page uses: never its result, its message, or its context. */
export function transition(event) {
  const { type, subject, time, data } = event;
  return {
    key: subject,
    type,
    time,
    from: data.from,
    to: data.to,
    terminal: data.terminal,
    skipped: data.skipped ?? [],
    observedAt: data.observed_at,
    observedFrom: data.observed_from ?? "poll",
    lag: data.detection_lag_s,
    polls: data.polls,
    reason: data.reason ?? null,
  };
}

/** Follows until `stop`. `onEvent(transition)`, `onState` gets live, connecting, waiting, token, or paused. */
export function follow(onEvent, onState, onGap) {
  let lastId = null;
  let wait = FIRST_WAIT;
  let controller = null;
  let timer = null;
  let hiddenAt = null;

  async function connect() {
    timer = null;
    controller = new AbortController();
    const mine = controller;
    onState("connecting");
    try {
      await read(mine);
      retry(mine);
    } catch (error) {
      if (error instanceof Unauthorized) return mine === controller && onState("token");
      if (error instanceof Refused && error.status === 410) {
        lastId = null;
        onGap();
      }
      retry(mine);
    }
    return null;
  }

  async function read(mine) {
    const headers = { Accept: "text/event-stream", ...(lastId === null ? {} : { "Last-Event-ID": lastId }) };
    const reply = await request("v1/events?after=now", { headers, signal: mine.signal });
    onState("live");
    const take = blockReader(({ id, data }) => {
      if (id) lastId = id;
      if (data) onEvent(transition(JSON.parse(data)));
    });
    const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const silence = setTimeout(() => mine.abort(), SILENCE);
      const { value, done } = await reader.read().finally(() => clearTimeout(silence));
      if (done) return;
      wait = FIRST_WAIT;
      take(value);
    }
  }

  function retry(mine) {
    if (mine !== controller) return; // stopped, or started again, in the meantime
    const pause = wait * (0.75 + Math.random() / 2);
    wait = Math.min(LONGEST_WAIT, wait * 2);
    onState("waiting");
    timer = setTimeout(connect, pause);
  }

  function stop(state) {
    clearTimeout(timer);
    const mine = controller;
    controller = null;
    mine?.abort();
    onState(state);
  }

  function start() {
    stop("connecting");
    wait = FIRST_WAIT;
    connect();
  }

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      hiddenAt = Date.now();
      stop("paused");
    } else if (hiddenAt !== null) {
      if (Date.now() - hiddenAt > AWAY && lastId !== null) {
        lastId = null;
        onGap();
      }
      hiddenAt = null;
      start();
    }
  });
  return { start, soon: () => timer !== null && start() };
}
