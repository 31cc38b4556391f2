/** Replays the golden cases in spec/, as the tests of the Python client do. */
import { readFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Client } from "../src/client.js";
import { type Close, reconnectsUnlessFinal } from "../src/close.js";
import { ConfigError, EventError, Refused } from "../src/errors.js";
import type { Options } from "../src/options.js";
import { Phase } from "../src/phases.js";
import { bound, makeRetries } from "../src/retries.js";
import { joinParams, type Params } from "../src/url.js";
import { FakeSocket, take } from "./support/fake_socket.js";

function cases<Case>(name: string): Case[] {
  return JSON.parse(readFileSync(new URL(`../../../spec/${name}.json`, import.meta.url), "utf8")) as Case[];
}

interface BackoffCase {
  options: { fastRetries: number; fastInterval: number; maxInterval: number };
  draws: number[];
  bounds: number[];
  delays: number[];
}

test.each(cases<BackoffCase>("backoff"))("backoff $options", ({ options, draws, bounds, delays }) => {
  expect(draws.map((_, index) => bound(options, index + 1))).toEqual(bounds);
  const left = [...draws];
  const retries = makeRetries(options, draws.length, () => left.shift()!);
  expect(draws.map(() => retries._next())).toEqual(delays.map((delay, index) => ({ attempt: index + 1, delay })));
  expect(retries._next()).toBeUndefined();
});

test.each(cases<{ code: number; reconnects: boolean }>("close_codes"))("close code $code", ({ code, reconnects }) => {
  expect(reconnectsUnlessFinal({ code, reason: "" })).toBe(reconnects);
});

test.each(cases<{ url: string; params: Params; joined?: string }>("urls"))("url $url", ({ url, params, joined }) => {
  if (joined === undefined) expect(() => joinParams(url, params)).toThrow(ConfigError);
  else expect(joinParams(url, params)).toBe(joined);
});

test.each(cases<{ option: string; taken: unknown[]; refused: unknown[] }>("options"))(
  "option $option",
  ({ option, taken, refused }) => {
    const make = (value: unknown) => new Client("ws://test", { WebSocket: FakeSocket, [option]: value });
    for (const value of taken) make(value);
    for (const value of refused) expect(() => make(value)).toThrow(ConfigError);
  },
);

type Step = Record<string, any>;

interface PlayCase {
  name: string;
  options?: Options;
  final?: number[];
  params?: Params;
  traceparent?: string;
  handlers?: Record<string, { returns?: unknown; refuses?: [string, string]; fails?: boolean }>;
  acts?: Record<string, Step[]>;
  steps: Step[];
}

const PHASES = JSON.parse(readFileSync(new URL("../../../spec/phases.json", import.meta.url), "utf8")) as {
  phases: { name: string }[];
  transitions: { from: string[]; to: string }[];
  plays: PlayCase[];
};
const KINDS = ["conversations", "listeners", "texts", "recovery", "reconnection", "admission", "phases"];

test("the phases are those of the specification, in their order", () => {
  const names = [Phase.Idle, Phase.Waiting, Phase.Connecting, Phase.Open, Phase.Ready];
  expect(names).toEqual([0, 1, 2, 3, 4]);
  expect(PHASES.phases.map(({ name }) => name)).toEqual(["idle", "waiting", "connecting", "open", "ready"]);
});

describe.each(KINDS)("%s", (kind) => {
  beforeEach(() => {
    vi.useFakeTimers();
    vi.spyOn(Math, "random").mockReturnValue(0.5);
  });
  afterEach(() => void vi.useRealTimers());

  test.each(kind === "phases" ? PHASES.plays : cases<PlayCase>(kind))("$name", async (play) => {
    const strict = !["reconnection", "admission", "phases"].includes(kind);
    const { sockets, step, left, told, illegal } = perform(play);
    const begin = [{ connect: true }, { opens: true }, { receive: '{"event":"$ready"}' }, { connected: true }];
    if (strict) for (const each of begin) await step(each);
    if (strict) told.length = 0;
    for (const each of play.steps) await step(each);
    await step({ close: true });
    expect(illegal).toEqual([]);
    if (strict) expect([sockets.flatMap(({ sent }) => sent), ...left()]).toEqual([[], [], [], 0]);
  });
});

/** A client to which the steps of a case happen. spec/README.md says what they mean. */
function perform({ options, final, params, traceparent, handlers = {}, acts = {} }: PlayCase) {
  const sockets: FakeSocket[] = [];
  const told: unknown[][] = [];
  const WebSocket = class extends FakeSocket {
    constructor(url: string) {
      super(url);
      sockets.push(this);
      told.push(["dial"]);
    }
  };
  const pingText = options?.pingText ?? "";
  const policy = final && { reconnectPolicy: ({ code }: Close) => !final.includes(code) };
  const tracing = traceparent && { traceparent: () => traceparent };
  const renewing = params && { params: () => params };
  const given = { ...options, ...policy, ...tracing, ...renewing };
  const client = new Client("ws://test", { pingInterval: null, ...given, WebSocket });
  tell(client, told);
  const { passed, illegal } = watchPhases(client);

  const seen: unknown[] = [];
  const calls: Promise<unknown>[] = [];
  const connects: Promise<void>[] = [];
  const settled = new Set<Promise<void>>();
  let notices = 0;
  for (const [event, { refuses, fails, returns }] of Object.entries(handlers)) {
    client.on(event, (data) => {
      seen.push([event, data]);
      if (refuses) throw new EventError(...refuses);
      if (fails) throw new Error("as the case says");
      return returns;
    });
  }
  client.onRoom(({ namespace, id, recovered, reason }) => void seen.push([namespace, id, recovered, reason]));
  const named: Record<string, () => void> = {};
  const handler = (name: string) =>
    (named[name] ??= () => {
      seen.push(name);
      for (const each of acts[name] ?? []) void step(each);
    });
  const last = () => sockets[sockets.length - 1];

  const act: Record<string, (value: any) => unknown> = {
    // The connection
    connect: () => {
      const connect = client.connect();
      const done = () => void settled.add(connect);
      connect.then(done, done);
      connects.push(connect);
    },
    waiting: async () => {
      await vi.advanceTimersByTimeAsync(0);
      expect(settled.has(connects[0])).toBe(false);
    },
    barred: async (code) => {
      const refusal = await connects.shift()!.catch((error: unknown) => error);
      expect(refusal).toBeInstanceOf(Refused);
      expect(refusal).toMatchObject({ code, close: { code } });
    },
    connected: async (outcome) => {
      const connect = connects.shift()!;
      await vi.advanceTimersByTimeAsync(0);
      expect(settled.has(connect)).toBe(true); // else the test would wait for good
      return outcome ? connect : expect(connect).rejects.toMatchObject({ code: "WS_NOT_OPEN" });
    },
    close: () => {
      const closed = client.close();
      if (last()) last().end(4001);
      return closed;
    },
    reconnect: (reset) => client.reconnect(reset),
    reconnecting: (expected) => expect(client.reconnecting).toBe(expected),
    opens: async () => {
      if (params) await vi.advanceTimersByTimeAsync(0); // the function was asked
      last().open();
      if (client.pingInterval) expect(last().sent.splice(0, 1)).toEqual([pingText]);
    },
    fails: () => last().end(),
    closes: (code) => last().end(code),
    wait: (seconds) => vi.advanceTimersByTimeAsync(seconds * 1000),
    told: (expected) => expect(take(told)).toEqual(expected),
    phases: (expected) => expect(take(passed)).toEqual(expected),

    // Messages
    send: ([event, data]) => client.send(event, data),
    unsent: async ([event, code]) => {
      const error = { code: "WS_NOT_OPEN", close: code && { code } };
      expect(() => client.send(event)).toThrow(expect.objectContaining({ code: "WS_NOT_OPEN" }));
      const thrown = await client.call(event).catch((each: unknown) => each);
      expect(thrown).toMatchObject(error);
      try {
        client.send(event);
      } catch (each) {
        expect(each).toMatchObject(error);
      }
    },
    misuse: async ([event, code]) => {
      expect(() => client.send(event)).toThrow(expect.objectContaining({ code }));
      await expect(client.call(event)).rejects.toMatchObject({ code });
    },
    call: ([event, data]) => {
      const call = client.call(event, data, { onPending: () => notices++ });
      call.catch(() => undefined);
      calls.push(call);
    },
    pending: (count) => {
      expect(notices).toBe(count);
      notices = 0;
    },
    answered: async (value) => expect(await calls.shift()).toEqual(value),
    refused: ([code, message]) => expect(calls.shift()).rejects.toMatchObject({ code, message }),
    failed: (code) => expect(calls.shift()).rejects.toMatchObject({ code }),
    sent: (text) => expect(last().sent.shift()).toBe(text),
    receive: (text) => {
      expect(last().sent).toEqual([]);
      last().receive(text);
    },
    handled: (message) => expect(seen.shift()).toEqual(message),
    room: (state) => expect(seen.shift()).toEqual(state),
    offered: (expected) => {
      const positions = last().url.split("&_cw_at=")[1] ?? null;
      if (typeof expected !== "number") return expect(positions).toBe(expected);
      expect([positions.split(",").length, positions.length <= 4096]).toEqual([expected, true]);
    },
    fills: (count: number) => {
      const ids = Array.from({ length: count }, (_, index) => `${index}`);
      for (const id of ids) {
        const payload = { room: ["chat", id], at: `${id.padStart(8, "0")}.100000`, recovered: null, reason: null };
        last().receive(JSON.stringify({ event: "$room", payload }));
      }
      expect(take(seen)).toEqual(ids.map((id) => ["chat", id, null, null]));
    },
    beat: () => {
      client.pingInterval = 1;
      vi.advanceTimersByTime(1000);
      client.pingInterval = null;
    },
    // This client tells onError of what it can't read; the Python client logs it.
    pong: () => expect(take(told).filter(([what]) => what !== "error")).toEqual([["ping"], ["pong"]]),

    // Handlers by name
    on: ([event, name, how]) => void client.on(event, handler(name), how),
    once: ([event, name]) => void client.once(event, handler(name)),
    off: ([event, which = {}]) => client.off(event, which.handler ? handler(which.handler) : which.tag),
    fires: ([event, names]) => {
      last().receive(JSON.stringify({ event, payload: null }));
      expect(take(seen)).toEqual(names);
    },
  };
  const step = (each: Step) => {
    const [[verb, value]] = Object.entries(each);
    return act[verb](value);
  };
  return { sockets, step, told, illegal, left: () => [seen, calls, notices] };
}

/** Note the phases that a client enters, and the transitions that the specification does not have. */
function watchPhases(client: Client) {
  const passed: string[] = [];
  const illegal: string[] = [];
  let before = "idle";
  // The private part of the client that has the phases.
  const { _reconnection } = client as unknown as { _reconnection: { _watch(phase: Phase): void } };
  _reconnection._watch = (phase) => {
    const { name } = PHASES.phases[phase];
    if (!PHASES.transitions.some(({ from, to }) => from.includes(before) && to === name)) {
      illegal.push(`${before} → ${name}`);
    }
    passed.push((before = name));
  };
  return { passed, illegal };
}

/** Note what a client tells. */
function tell(client: Client, told: unknown[][]): void {
  client.onOpen(() => told.push(["open"]));
  client.onClose(({ code }) => told.push(["close", code, client.reconnecting]));
  client.onError(() => told.push(["error"]));
  client.onReconnect((attempt, delay) => told.push(["reconnect", attempt, delay]));
  client.onGiveUp((limit) => told.push(["give up", limit]));
  client.onPing(() => told.push(["ping"]));
  client.onPong(() => told.push(["pong"]));
  client.onPongTimeout(() => told.push(["pong timeout"]));
}
