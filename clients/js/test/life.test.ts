/** When a connection counts, what becomes of one that does not, and that openings and ends alternate; by fake sockets. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Client, ConfigError, NotConnected, type Params, Refused } from "../src/index.js";
import { fakeClient, FakeSocket, take } from "./support/fake_socket.js";

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(Math, "random").mockReturnValue(0.5);
});
afterEach(() => void vi.useRealTimers());

/** Whether a promise has been settled, and how. */
function outcome(promise: Promise<unknown>): () => Promise<unknown> {
  let result: unknown = "waits";
  promise.then(
    () => (result = "done"),
    (error: unknown) => (result = error),
  );
  return async () => {
    await vi.advanceTimersByTimeAsync(0);
    return result;
  };
}

test("with heartbeats, the first echo or $ready lets the client in, and no other message does", async () => {
  for (const word of ["", '{"event":"$ready","payload":null}']) {
    const { client, last } = fakeClient({ pingInterval: 10 });
    const connected = outcome(client.connect());
    last().open();
    expect(last().sent).toEqual([""]);
    last().receive('{"event":"early"}');
    vi.advanceTimersByTime(11_999);
    expect(await connected()).toBe("waits");
    last().receive(word);
    expect(await connected()).toBe("done");
  }
});

test("with heartbeats, a server that sends neither counts as letting in after 12 seconds, and its echoes count then", async () => {
  const { client, last, events } = fakeClient({ pingInterval: 10, pongTimeout: 2 });
  const connected = outcome(client.connect());
  last().open();
  vi.advanceTimersByTime(12_000);
  expect(await connected()).toBe("done");
  vi.advanceTimersByTime(11_000);
  expect(take(last().sent)).toEqual(["", ""]);
  last().receive("");
  vi.advanceTimersByTime(9_000);
  expect(client.latency).toBe(1000);
  expect(events).toEqual(["open"]);
  vi.advanceTimersByTime(4_000);
  expect(events).toContain("pong timeout"); // a dead server is found as ever
});

test("the echo that comes after $ready is no pong, and makes no connection stable", () => {
  const { client, last, events } = fakeClient({ pingInterval: 10, retryLimit: 1 });
  const pongs = vi.fn();
  client.onPong(pongs);
  void client.connect();
  for (let count = 0; count < 2; count++) {
    last().open();
    last().ready();
    last().receive("");
    last().end(1011);
    vi.runOnlyPendingTimers();
  }
  expect(events.filter((event) => event !== "open")).toEqual([
    ["close", 1011, true],
    ["reconnect", 1, 1.5],
    ["close", 1011, true],
    ["give up", 1],
  ]);
  expect([pongs.mock.calls, client.latency]).toEqual([[], null]);
});

test("a refusal has the code and the reason, as have later errors", async () => {
  const { client, last, events } = fakeClient();
  await expect(client.call("x")).rejects.toMatchObject({ close: null });
  const both = [client.connect(), client.connect()];
  last().open();
  const asked = outcome(client.call("x"));
  last().end(4011, "Auth failure");
  for (const connect of both) {
    const refusal = await connect.catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(Refused);
    expect(refusal).toBeInstanceOf(NotConnected);
    const close = { code: 4011, reason: "Auth failure" };
    expect(refusal).toMatchObject({ ...close, close, message: "not connected (4011 Auth failure)" });
  }
  expect(await asked()).toMatchObject({ code: "WS_NOT_OPEN", close: { code: 4011 } });
  expect(events).toEqual(["open", ["close", 4011, false]]);
  expect(() => client.send("x")).toThrow(expect.objectContaining({ close: { code: 4011, reason: "Auth failure" } }));
});

test.each([
  ["a server that hangs up", (socket: FakeSocket) => socket.end(1011)],
  ["a proxy without a backend", (socket: FakeSocket) => (socket.closing(), socket.end(1006))],
  ["one that lets in and hangs up", (socket: FakeSocket) => (socket.ready(), socket.end(1012))],
])("%s is tried again ever more rarely, and no more often than the limit says", async (_, hangUp) => {
  const { client, sockets, last, events } = fakeClient({ fastInterval: 0.1, maxInterval: 10, retryLimit: 8 });
  const connected = outcome(client.connect());
  for (let second = 0; second < 600; second++) {
    for (; last().readyState === 0; vi.advanceTimersByTime(0)) {
      last().open();
      hangUp(last());
    }
    vi.advanceTimersByTime(100);
  }
  expect(sockets).toHaveLength(9);
  expect(events.filter(([event]: any) => event === "reconnect").map(([, , delay]: any) => delay)).toEqual([
    0.05, 0.05, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6,
  ]);
  expect(events[events.length - 1]).toEqual(["give up", 8]);
  if (hangUp.length && (await connected()) !== "done")
    expect(await connected()).toMatchObject({ close: expect.anything() });
});

test("a message or stableAfter seconds make a connection stable", () => {
  const attempts = (options: object, meanwhile: (socket: FakeSocket) => void) => {
    const { client, last, events } = fakeClient({ fastInterval: 0, ...options });
    void client.connect();
    for (let count = 0; count < 3; count++) {
      last().open();
      last().ready();
      meanwhile(last());
      last().end(1001);
      vi.advanceTimersByTime(0);
    }
    return events.filter(([event]: any) => event === "reconnect").map(([, attempt]: any) => attempt);
  };
  expect(attempts({}, () => vi.advanceTimersByTime(4999))).toEqual([1, 2, 3]);
  expect(attempts({}, () => vi.advanceTimersByTime(5000))).toEqual([1, 1, 1]);
  expect(attempts({ stableAfter: 7 }, () => vi.advanceTimersByTime(6999))).toEqual([1, 2, 3]);
  expect(attempts({ stableAfter: 60 }, (socket) => socket.receive('{"event":"x"}'))).toEqual([1, 1, 1]);
  expect(attempts({ stableAfter: 60 }, (socket) => socket.ready())).toEqual([1, 2, 3]);
});

/** A generator of whole numbers that are the same each time. */
function numbers(seed: number): (below: number) => number {
  let state = seed * 2654435761 + 1;
  return (below) => {
    state = (state * 1103515245 + 12345) % 2 ** 31;
    return Math.floor((state / 2 ** 31) * below);
  };
}

test("onOpen and onClose alternate for every handler, whatever is called when, from handlers too", () => {
  for (let seed = 1; seed <= 300; seed++) {
    const draw = numbers(seed);
    const { client, sockets, last } = fakeClient({ fastInterval: 1, maxInterval: 1, queueLimit: draw(2) });
    const acts = [() => void client.connect(), () => void client.close(), () => client.reconnect()];
    const maybeAct = () => draw(4) === 0 && acts[draw(3)]();
    const logs: string[][] = [[], []];
    for (const log of logs) {
      client.onOpen(() => void (log.push("open"), maybeAct()));
      client.onClose(() => void (log.push("close"), maybeAct()));
    }
    client.onError(maybeAct);
    client.onReconnect(() => draw(8) === 0 && acts[draw(2)]());
    const events = [
      ...acts,
      () => last()?.readyState === 0 && last().open(),
      () => last()?.readyState === 1 && last().ready(),
      () => last()?.readyState === 1 && last().end([1001, 1006, 4011][draw(3)]),
      () => last()?.readyState === 0 && last().end(),
      () => sockets.filter(({ readyState }) => readyState === 2).forEach((socket) => socket.end(1005)),
      () => vi.advanceTimersByTime([1, 500, 6000][draw(3)]),
    ];
    for (let step = 0; step < 40; step++) events[draw(events.length)]();
    void client.close();
    for (const log of logs) {
      const expected = log.map((_, index) => (index % 2 ? "close" : "open"));
      expect(log, `seed ${seed}`).toEqual(expected);
      expect(log.length % 2, `seed ${seed}`).toBe(0);
    }
  }
});

test("close and connect without waiting: onClose is called once, before the next onOpen", async () => {
  const { client, sockets, events } = fakeClient();
  void client.connect();
  sockets[0].open();
  sockets[0].ready();
  const closed = outcome(client.close());
  const connected = outcome(client.connect());
  sockets[1].open();
  sockets[1].ready();
  expect([await closed(), await connected()]).toEqual(["waits", "done"]);
  sockets[0].end(4001);
  expect(await closed()).toBe("done");
  expect(events).toEqual(["open", ["close", 4001, false], "open"]);
});

test("an onOpen handler that waits delays neither the others nor onClose", () => {
  const { client, last, events } = fakeClient();
  client.onOpen.off();
  client.onOpen(() => new Promise(() => undefined));
  client.onOpen(() => void events.push("open"));
  void client.connect();
  last().open();
  last().end(1001);
  expect(events.slice(0, 2)).toEqual(["open", ["close", 1001, true]]);
});

test.each([
  ["params", (count: number) => ({ params: (): Params => ({ token: count }) })],
  [
    "params that take a while",
    (count: number) => ({ params: (): Promise<Params> => Promise.resolve({ token: count }) }),
  ],
])("%s are asked for before each attempt", async (_, make) => {
  const sockets: FakeSocket[] = [];
  const WebSocket = class extends FakeSocket {
    constructor(url: string) {
      super(url);
      sockets.push(this);
    }
  };
  let count = 0;
  const client = new Client("ws://test/?v=2", { WebSocket, fastInterval: 0, params: () => make(++count).params() });
  client.onError(() => undefined);
  void client.connect();
  for (let attempt = 1; attempt < 4; attempt++) {
    await vi.advanceTimersByTimeAsync(0);
    expect(sockets.map(({ url }) => url)[attempt - 1]).toBe(`ws://test/?v=2&token=${attempt}&_cw=2&_cw_renew=1`);
    sockets[attempt - 1].end();
  }
});

test("the URL may be a function too, whose result is checked at each attempt", async () => {
  const urls = ["http://no", "ws://yes"];
  const sockets: string[] = [];
  const WebSocket = class extends FakeSocket {
    constructor(url: string) {
      super(url);
      sockets.push(url);
    }
  };
  const errors: string[] = [];
  const client = new Client(async () => urls.shift()!, { WebSocket, fastInterval: 1 });
  client.onError((error) => errors.push((error as Error).message));
  void client.connect();
  await vi.advanceTimersByTimeAsync(1000);
  expect([sockets, errors]).toEqual([["ws://yes/?_cw=2"], [expect.stringContaining("http://no")]]);
  expect(() => new Client("http://no", { params: () => ({}) })).toThrow(ConfigError);
});

test.each([
  () => {
    throw new Error("no token");
  },
  () => Promise.reject(new Error("no token")),
  () => {
    throw undefined;
  },
  () => Promise.reject(Symbol("odd")),
])("params that fail are a failed attempt, tried again with backoff: %#", async (params) => {
  const { client, sockets, events } = fakeClient({
    params: params as unknown as () => Params,
    fastInterval: 2,
    retryLimit: 2,
  });
  const connected = outcome(client.connect());
  await vi.advanceTimersByTimeAsync(10_000);
  expect(sockets).toEqual([]);
  const told = events.map((event: any) => event[0]);
  expect(told).toEqual(["error", "reconnect", "error", "reconnect", "error", "give up"]);
  expect(await connected()).toBeInstanceOf(NotConnected);
});

test("params that never come fail one attempt, and late ones are not used", async () => {
  const given: ((params: Params) => void)[] = [];
  const params = () => new Promise<Params>((resolve) => given.push(resolve));
  const { client, sockets, events } = fakeClient({ params, fastInterval: 2 });
  void client.connect();
  await vi.advanceTimersByTimeAsync(10_000);
  expect(events).toEqual([
    ["error", expect.stringContaining("no answer within 10 s")],
    ["reconnect", 1, 1],
  ]);
  given[0]({ token: 0 });
  await vi.advanceTimersByTimeAsync(1000);
  client.reconnect(); // while they are waited for
  void client.close();
  void client.connect();
  await vi.advanceTimersByTimeAsync(0);
  for (const [index, give] of given.entries()) give({ token: index });
  await vi.advanceTimersByTimeAsync(0);
  expect(sockets.map(({ url }) => url)).toEqual([`ws://test/?token=${given.length - 1}&_cw=2&_cw_renew=1`]);
});
