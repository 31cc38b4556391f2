import { afterEach, beforeEach, expect, test, vi } from "vitest";
import {
  CallTimeout,
  Client,
  ConfigError,
  EventError,
  InvalidPayload,
  NotConnected,
  UsageError,
} from "../src/index.js";
import { msgpack } from "../src/msgpack.js";
import { fakeClient, take } from "./support/fake_socket.js";

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(Math, "random").mockReturnValue(0.5);
});
afterEach(() => void vi.useRealTimers());

function opened(...[options]: Parameters<typeof fakeClient>) {
  const fake = fakeClient({ stableAfter: 0, ...options });
  void fake.client.connect();
  letIn(fake);
  vi.advanceTimersByTime(0); // a good connection
  take(fake.events);
  return fake;
}

/** The names of what was sent. */
const names = ({ sent }: { sent: unknown[] }) =>
  sent.map((text) => (JSON.parse(text as string) as { event: string }).event);

/** The server agrees to the attempt, and lets the client in. */
function letIn({ last, client }: Pick<ReturnType<typeof fakeClient>, "last" | "client">): void {
  last().open();
  if (client.pingInterval) expect(last().sent.shift()).not.toMatch("event");
  last().ready();
}

test("connect resolves when the client has been let in, for all who wait", async () => {
  const { client, sockets, events, last } = fakeClient({ params: { id: "13" }, subprotocols: ["x"] });
  const both = Promise.all([client.connect(), client.connect()]);
  expect(sockets).toHaveLength(1);
  expect([last().url, last().protocols, last().binaryType]).toEqual(["ws://test/?id=13&_cw=2", ["x"], "arraybuffer"]);
  letIn({ client, last });
  await both;
  await client.connect();
  expect([sockets.length, events]).toEqual([1, ["open"]]);
});

test("a first attempt that fails is followed by others, with growing delays", async () => {
  const { client, sockets, events, last } = fakeClient({ fastRetries: 1, fastInterval: 2, maxInterval: 5 });
  void client.connect();
  for (const [attempt, delay] of [
    [1, 1],
    [2, 2],
    [3, 2.5],
  ]) {
    last().onerror!({ message: "ECONNREFUSED" });
    last().end();
    expect(take(events)).toEqual([
      ["error", "WS_NOT_OPEN: not connected (1006 ECONNREFUSED)"],
      ["reconnect", attempt, delay],
    ]);
    const count = sockets.length;
    vi.advanceTimersByTime(delay * 1000 - 1);
    expect(sockets).toHaveLength(count);
    vi.advanceTimersByTime(1);
    expect(sockets).toHaveLength(count + 1);
  }
  expect(client.reconnecting).toBe(false); // nothing was lost yet
  letIn({ client, last });
  last().receive('{"event":"x"}');
  last().end(1001);
  expect(take(events)).toEqual(["open", ["close", 1001, true], ["reconnect", 1, 1]]);
});

test("an attempt has ten seconds", () => {
  const { client, events, last } = fakeClient();
  void client.connect();
  const first = last();
  vi.advanceTimersByTime(10_000);
  expect(first.closes).toHaveLength(1);
  expect(events).toEqual([
    ["error", "WS_NOT_OPEN: not connected (1006 no answer within 10 s)"],
    ["reconnect", 1, 1.5],
  ]);
  first.open(); // too late
  expect(events).toHaveLength(2);
});

test("retryLimit ends the attempts, and the next connect counts from 0", async () => {
  const { client, events, last } = fakeClient({ retryLimit: 1 });
  const connected = client.connect();
  last().end();
  vi.runOnlyPendingTimers();
  last().end();
  await expect(connected).rejects.toThrow(/gave up after 1 attempts/);
  expect(events[events.length - 1]).toEqual(["give up", 1]);
  take(events);
  void client.connect();
  last().end();
  expect(events[1]).toEqual(["reconnect", 1, 1.5]);
  expect(vi.getTimerCount()).toBe(1);
});

test.each([1008, 4001, 4010, 4011, 4012])("after %i the client stays away", (code) => {
  const { events, last } = opened();
  last().end(code, "no");
  expect(events).toEqual([["close", code, false]]);
  expect(vi.getTimerCount()).toBe(0);
});

test("a custom policy decides, and one that throws forbids", async () => {
  const closes: unknown[] = [];
  const { client, events, last } = fakeClient({ reconnectPolicy: (close) => closes.push(close) < 2 });
  const connected = client.connect();
  last().end();
  vi.runOnlyPendingTimers();
  last().end();
  await expect(connected).rejects.toThrow(NotConnected);
  expect(closes).toHaveLength(2);
  const failing = opened({
    reconnectPolicy: () => {
      throw new Error("mine");
    },
  });
  failing.last().end();
  expect(failing.events).toEqual([
    ["error", "Error: mine"],
    ["close", 1006, false],
  ]);
  expect(events).toHaveLength(3);
});

test("close shakes hands, waits five seconds at most, and can be followed by connect", async () => {
  const { client, events, last, sockets } = opened();
  const answer = client.call("say", 1);
  const closed = client.close();
  await expect(answer).rejects.toThrow(NotConnected);
  expect(last().closes).toEqual([[4001, "closed by the client"]]);
  expect(() => client.send("say")).toThrow(NotConnected);
  last().end(1005);
  await closed;
  expect(take(events)).toEqual([["close", 4001, false]]);
  void client.connect();
  expect(sockets).toHaveLength(2);
  last().open();
  const silent = client.close();
  vi.advanceTimersByTime(5000);
  await silent;
  await client.close();
  expect(events).toEqual(["open", ["close", 4001, false]]);
  expect(vi.getTimerCount()).toBe(0);
});

test("close cuts off a connection that does not shake hands, where that is possible", async () => {
  const { client, last } = opened();
  const terminate = vi.fn();
  Object.assign(last(), { terminate });
  const closed = client.close();
  vi.advanceTimersByTime(4999);
  expect(terminate).not.toHaveBeenCalled();
  vi.advanceTimersByTime(1);
  await closed;
  expect(terminate).toHaveBeenCalled();
});

test("a lost connection is cut off, where that is possible", () => {
  const { last, events } = opened({ pingInterval: 10, pongTimeout: 2 });
  const terminate = vi.fn();
  Object.assign(last(), { terminate });
  vi.advanceTimersByTime(12_000);
  expect(events).toContainEqual(["close", 1006, true]);
  expect(terminate).toHaveBeenCalledOnce();
});

test("an attempt may fail with an error alone, as on Node.js 22", () => {
  const { client, last, events } = fakeClient();
  void client.connect();
  last().onerror!({ message: "non-101 status code" });
  const told = [
    ["error", "WS_NOT_OPEN: not connected (1006 non-101 status code)"],
    ["reconnect", 1, 1.5],
  ];
  expect(events).toEqual(told);
  last().end();
  expect(events).toEqual(told);
});

test("a connection that ends without a code, as in Deno, was lost", () => {
  const { client, last } = opened();
  const closes: unknown[] = [];
  client.onClose((close) => closes.push(close));
  last().end(0);
  expect(closes).toEqual([{ code: 1006, reason: "lost" }]);
});

test("an attempt may fire its events while it is ended, as on Node.js", () => {
  const { client, sockets, events } = fakeClient();
  void client.connect();
  const [socket] = sockets;
  socket.close = () => {
    socket.onerror!({ message: "closed before it was established" });
    socket.onclose!({ code: 1006, reason: "" });
  };
  vi.advanceTimersByTime(10_000);
  expect(events).toEqual([
    ["error", "WS_NOT_OPEN: not connected (1006 no answer within 10 s)"],
    ["reconnect", 1, 1.5],
  ]);
  vi.advanceTimersByTime(1500);
  expect(sockets).toHaveLength(2);
});

test.each(["dialling", "pausing"])("close while %s", async (phase) => {
  const { client, events, last, sockets } = fakeClient();
  const connected = client.connect();
  if (phase === "pausing") last().end();
  take(events);
  await Promise.all([client.close(), expect(connected).rejects.toThrow("closed by the client")]);
  sockets[0].open();
  sockets[0].end();
  expect([events, vi.getTimerCount(), sockets.length]).toEqual([[], 0, 1]);
});

test("reconnect drops what there is and dials at once", () => {
  const { client, events, sockets } = opened();
  client.reconnect();
  expect(sockets[0].closes).toEqual([[1000, "reconnecting"]]);
  expect(take(events)).toEqual([
    ["close", 1000, true],
    ["reconnect", 1, 0],
  ]);
  client.reconnect(); // while dialling
  expect(take(events)).toEqual([["reconnect", 2, 0]]);
  sockets[2].end();
  client.reconnect(true); // while pausing
  expect(sockets).toHaveLength(4);
  sockets[3].open();
  expect(client.reconnecting).toBe(false);
});

test("reconnect connects again after a final close, even from handlers", () => {
  const { client, events, sockets, last } = opened();
  client.onClose(() => client.reconnect(), { once: true });
  client.onReconnect(() => client.reconnect(), { once: true });
  last().end(4010);
  expect(events).toEqual([
    ["close", 4010, false],
    ["reconnect", 1, 0],
  ]);
  expect(sockets).toHaveLength(2);
});

test.each(["onClose", "onReconnect", "onError"] as const)("%s may close the client", (hook) => {
  const { client, last, sockets } = hook === "onError" ? fakeClient() : opened();
  client[hook](() => void client.close());
  if (hook === "onError") void client.connect();
  last().end();
  expect([vi.getTimerCount(), sockets.length, client.reconnecting]).toEqual([0, 1, false]);
});

test("a WebSocket that can't be made is a failed attempt", () => {
  const errors: unknown[] = [];
  const WebSocket = class {
    constructor() {
      throw new Error("mixed content");
    }
  };
  const client = new Client("ws://h", { WebSocket: WebSocket as never, reconnectPolicy: () => false });
  client.onError((error) => errors.push((error as Error).message));
  void client.connect();
  expect(errors).toEqual(["not connected (1006 Error: mixed content)"]);
});

test("echoes give the latency; a missing one drops the connection", () => {
  const { client, events, last } = opened({ pingInterval: 10, pongTimeout: 2, pingText: "hi" });
  expect(client.latency).toBeNull();
  vi.advanceTimersByTime(10_000);
  expect(take(last().sent)).toEqual(["hi"]);
  vi.advanceTimersByTime(30);
  last().receive("hi");
  expect(client.latency).toBe(30);
  vi.advanceTimersByTime(12_000);
  expect(last().closes).toEqual([[undefined, undefined]]); // 1006 can't be sent
  expect(events).toEqual(["pong timeout", ["close", 1006, true], ["reconnect", 1, 1.5]]);
  expect(client.latency).toBeNull();
});

test("after a computer slept, the echo is waited for again", () => {
  const { events, last } = opened({ pingInterval: 10, pongTimeout: 2 });
  vi.advanceTimersByTime(10_000);
  const now = performance.now();
  vi.spyOn(performance, "now").mockReturnValue(now + 60_000);
  vi.advanceTimersByTime(2000);
  expect(events).toEqual([]);
  last().receive("");
  vi.advanceTimersByTime(2000);
  expect(events).toEqual([]);
});

test("pingInterval may change at any time", () => {
  const { client, last } = opened({ pingInterval: 100 });
  client.pingInterval = 1;
  vi.advanceTimersByTime(1000);
  expect(last().sent).toHaveLength(1);
  client.pingInterval = null;
  last().receive("");
  vi.advanceTimersByTime(100_000);
  expect([client.pingInterval, last().sent.length]).toEqual([null, 1]);
  expect(() => (client.pingInterval = 0)).toThrow(ConfigError);
});

test("a call times out, after onPending was called", async () => {
  const { client } = opened({ callTimeout: 3 });
  const notices: string[] = [];
  const late = client.call("say", 1, { onPending: () => notices.push("pending"), pendingAfter: 1 });
  const failed = expect(late).rejects.toThrow(CallTimeout);
  vi.advanceTimersByTime(999);
  expect(notices).toEqual([]);
  vi.advanceTimersByTime(1);
  expect(notices).toEqual(["pending"]);
  vi.advanceTimersByTime(2000);
  await failed;
  expect(vi.getTimerCount()).toBe(0);
});

test("a call that is answered in time leaves no timers and does not call onPending", async () => {
  const { client, last } = opened();
  const onPending = vi.fn();
  const answer = client.call("say", undefined, { onPending });
  last().receive('{"payload":5,"callbackId":"1"}');
  expect(await answer).toBe(5);
  vi.advanceTimersByTime(1000);
  expect(onPending).not.toHaveBeenCalled();
});

test("a call may wait without end", async () => {
  const { client, last } = opened({ pingInterval: null });
  const answer = client.call("say", undefined, { timeout: Infinity });
  vi.advanceTimersByTime(3e9);
  last().receive('{"payload":5,"callbackId":"1"}');
  expect(await answer).toBe(5);
});

test("a signal stops the waiting", async () => {
  const { client, last } = opened();
  const controller = new AbortController();
  const answer = client.call("say", 1, { signal: controller.signal });
  controller.abort(new Error("enough"));
  await expect(answer).rejects.toThrow("enough");
  await expect(client.call("say", 1, { signal: controller.signal })).rejects.toThrow("enough");
  expect([last().sent.length, vi.getTimerCount()]).toEqual([1, 0]);
});

test("a signal without a reason rejects with an error of the client", async () => {
  const { client, last } = opened();
  const controller = new AbortController();
  Object.defineProperty(controller.signal, "reason", { value: undefined });
  const answer = client.call("say", 1, { signal: controller.signal });
  controller.abort();
  await expect(answer).rejects.toMatchObject({ code: "ABORTED" });
  await expect(client.call("say", 1, { signal: controller.signal })).rejects.toMatchObject({ code: "ABORTED" });
  expect([last().sent.length, vi.getTimerCount()]).toEqual([1, 0]);
});

test("calls that wait fail with the connection; without one they fail at once", async () => {
  const { client, last } = opened();
  const answer = client.call("say");
  last().end(1001, "going");
  await expect(answer).rejects.toThrow("1001 going");
  await expect(client.call("say")).rejects.toMatchObject({ code: "WS_NOT_OPEN" });
});

test("misuse is thrown where it is made", async () => {
  const { client } = opened();
  for (const name of ["", "$x", 5 as never]) {
    expect(() => client.send(name)).toThrow(UsageError);
    expect(() => client.on(name, () => 0)).toThrow(UsageError);
    await expect(client.call(name)).rejects.toThrow(UsageError);
  }
  expect(() => client.on("x", null as never)).toThrow(UsageError);
  const loop: unknown[] = [];
  loop.push(loop);
  expect(() => client.send("x", loop)).toThrow(InvalidPayload);
  await expect(client.call("x", 1, { timeout: 0 })).rejects.toThrow(ConfigError);
  await expect(client.call("x", 1, { pendingAfter: NaN })).rejects.toThrow(ConfigError);
  await expect(client.call("x", 1, { pendingAfter: Infinity })).rejects.toThrow(ConfigError);
});

test.each([
  { pingInterval: 0 },
  { pongTimeout: 0 },
  { callTimeout: NaN },
  { fastInterval: -1 },
  { maxInterval: Infinity },
  { retryLimit: -1 },
  { retryLimit: 1.5 },
  { fastRetries: 1.5 },
  { queueLimit: 0.5 },
  { subprotocols: ["a b"] },
  { subprotocols: ["a", "b,c"] },
  { subprotocols: ["größer"] },
])("the options %o can't be used", (options) => {
  expect(() => fakeClient(options)).toThrow(ConfigError);
});

test("subprotocols are offered once each, and one may be given by itself", () => {
  const offered = (options: object) => {
    const { client, last } = fakeClient(options);
    void client.connect();
    return last().protocols;
  };
  expect(offered({ subprotocols: ["a", "v1.0+x!#$%&'*^_`|~-", "a"] })).toEqual(["a", "v1.0+x!#$%&'*^_`|~-"]);
  expect(offered({ subprotocols: "chat" })).toEqual(["chat"]);
  expect(offered({ subprotocols: ["mine", "crosswire.msgpack"], codec: msgpack })).toEqual([
    "crosswire.msgpack",
    "mine",
  ]);
});

test("without any WebSocket the constructor throws", () => {
  expect(() => new Client("ws://h", { WebSocket: null as never })).toThrow(ConfigError);
});

test("handlers: order, once, tags, off", () => {
  const { client, last } = opened();
  const seen: string[] = [];
  const note = (name: string) => () => void seen.push(name);
  const b = note("b");
  client.on("x", note("a"), { tag: "t" });
  client.on("x", b);
  client.once("x", note("c"));
  const remove = client.on("x", note("d"));
  const fire = () => {
    last().receive('{"event":"x"}');
    return take(seen).join("");
  };
  expect(fire()).toBe("abcd");
  expect(fire()).toBe("abd");
  client.off("x", b);
  remove();
  expect(fire()).toBe("a");
  client.off("x", "t");
  client.on("x", note("e"));
  expect(fire()).toBe("e");
  client.off("x");
  expect(fire()).toBe("");
  client.onOpen.off(); // hooks have it too
});

test("a promise is an answer, several handlers take turns, and the first value counts", async () => {
  const { client, last } = opened();
  const order: number[] = [];
  client.on("ask", async () => void (await Promise.resolve(order.push(1))));
  client.on("ask", () => Promise.resolve(order.push(2)));
  client.on("ask", () => order.push(3));
  last().receive('{"event":"ask","callId":"7"}');
  await vi.waitFor(() => expect(last().sent).toEqual(['{"callId":"7","payload":2}']));
  expect(order).toEqual([1, 2, 3]);
});

test("a handler's failure is reported, and the server does not get its text; so is an answer that can't be sent", async () => {
  const { client, last, events } = opened();
  client.on("fails", () => Promise.reject(new Error("secret")));
  client.on("odd", () => BigInt(1));
  client.on("worse", () => {
    throw new EventError(10n as never);
  });
  client.on("refuses", () => Promise.reject(new EventError("full", "the room is full")));
  for (const event of ["fails", "odd", "worse", "refuses"]) last().receive(`{"event":"${event}","callId":"${event}"}`);
  await vi.waitFor(() => expect(last().sent).toHaveLength(4));
  expect(last().sent.sort()).toEqual([
    '{"callId":"fails","error":{"code":"HANDLER_ERROR","message":"the handler failed"}}',
    '{"callId":"odd","error":{"code":"HANDLER_ERROR","message":"the handler failed"}}',
    '{"callId":"refuses","error":{"code":"full","message":"the room is full"}}',
    '{"callId":"worse","error":{"code":"HANDLER_ERROR","message":"the handler failed"}}',
  ]);
  expect(events).toHaveLength(3);
});

test("without onError failures are logged, as are failures of onError", () => {
  const log = vi.spyOn(console, "error").mockImplementation(() => undefined);
  const { client, last } = opened();
  client.onError.off();
  client.on("x", () => {
    throw new Error("mine");
  });
  last().receive('{"event":"x"}');
  client.onError(() => {
    throw new Error("worse");
  });
  last().receive('{"event":"x"}');
  expect(log.mock.calls.map(([error]) => (error as Error).message)).toEqual(["mine", "worse"]);
});

test("no more than a thousand handlers run at once", async () => {
  const { client, last, events } = opened();
  client.on("slow", () => new Promise(() => undefined));
  for (let count = 0; count < 1000; count++) last().receive('{"event":"slow"}');
  last().receive('{"event":"slow"}');
  last().receive('{"event":"slow","callId":"1"}');
  expect(events).toHaveLength(1);
  expect(last().sent[0]).toContain('"BUSY"');
});

test("synchronous handlers are called however many handlers run, and close resets their number", async () => {
  const { client, last, events } = opened();
  const ends: (() => void)[] = [];
  const handler = vi.fn();
  client.on("slow", () => new Promise<void>((resolve) => ends.push(resolve)));
  client.on("quick", handler);
  const fill = () => {
    for (let count = 0; count < 1000; count++) last().receive('{"event":"slow"}');
  };
  fill();
  last().receive('{"event":"quick"}');
  expect([handler.mock.calls.length, events]).toEqual([1, []]);
  void client.close();
  void client.connect();
  last().open();
  fill();
  expect(ends).toHaveLength(2000);
  for (const end of ends.slice(0, 1000)) end(); // too late to make room
  await vi.advanceTimersByTimeAsync(0);
  last().receive('{"event":"slow"}');
  expect(ends).toHaveLength(2000);
});

test("an answer is not sent on another connection", async () => {
  const { client, last } = opened({ fastInterval: 0 });
  let answer = (_: string): void => undefined;
  client.on("ask", () => new Promise<string>((resolve) => (answer = resolve)));
  last().receive('{"event":"ask","callId":"1"}');
  client.reconnect();
  last().open();
  answer("late");
  await Promise.resolve();
  await Promise.resolve();
  expect(last().sent).toEqual([]);
});

test("a server that does not read is dropped", () => {
  const { client, last, events } = opened();
  last().bufferedAmount = 2 ** 25;
  expect(() => client.send("x")).toThrow(NotConnected);
  expect(events[0]).toEqual(["close", 1006, true]);
});

test("a queue keeps what is sent offline, in order, up to its limit", () => {
  const { client, last } = fakeClient({ queueLimit: 2 });
  const data = { n: 1 };
  client.send("a", data);
  data.n = 2;
  client.send("b");
  expect(() => client.send("c")).toThrow(NotConnected);
  void client.connect();
  letIn({ client, last });
  client.send("first of the new");
  expect(last().sent.map((text) => JSON.parse(text as string).event)).toEqual(["a", "b", "first of the new"]);
  expect(last().sent[0]).toContain('{"n":1}');
  last().end();
  client.send("forgotten");
  void client.close();
  void client.connect();
  letIn({ client, last });
  expect(last().sent).toEqual([]);
});

test("a queue may drop the oldest instead", () => {
  const { client, last } = fakeClient({ queueLimit: 2, queuePolicy: "drop-oldest" });
  for (const event of ["a", "b", "c"]) client.send(event);
  void client.connect();
  letIn({ client, last });
  expect(last().sent.map((text) => JSON.parse(text as string).event)).toEqual(["b", "c"]);
});

test("times that are longer than the longest timer do not end at once", async () => {
  const { client, last, events } = opened({ callTimeout: 1e9, pingInterval: 1e9, fastInterval: 1e9, maxInterval: 1e9 });
  const onPending = vi.fn();
  void client.call("say", 1, { onPending, pendingAfter: 1e9 }).catch(() => undefined);
  vi.advanceTimersByTime(60_000);
  expect([last().sent.length, onPending.mock.calls]).toEqual([1, []]);
  last().end();
  take(events);
  vi.advanceTimersByTime(60_000);
  expect(events).toEqual([]);
});

test("a signal that is aborted when the call is over changes nothing, and is not listened to", async () => {
  const { client, last } = opened();
  const { signal } = new AbortController();
  const listening = vi.spyOn(signal, "addEventListener");
  const ended = vi.spyOn(signal, "removeEventListener");
  const answer = client.call("say", 1, { signal });
  last().receive('{"payload":5,"callbackId":"1"}');
  expect(await answer).toBe(5);
  last().end();
  expect(ended.mock.calls).toEqual(listening.mock.calls);
});

test("numbers are no ids", () => {
  const { client, last } = opened();
  const handler = vi.fn();
  client.on("x", handler);
  void client.call("say").catch(() => undefined);
  take(last().sent);
  last().receive('{"payload":5,"callbackId":1}');
  last().receive('{"event":"x","callId":7}');
  expect([last().sent, handler.mock.calls, vi.getTimerCount()]).toEqual([[], [], 2]);
});

test("handlers added and removed while others are called count from the next event on", () => {
  const { client, last } = opened();
  const seen: string[] = [];
  const late = () => void seen.push("late");
  client.on("x", () => {
    client.off("x", late);
    client.on("x", () => void seen.push("new"), { once: true });
  });
  client.on("x", late);
  last().receive('{"event":"x"}');
  expect(take(seen)).toEqual(["late"]);
  last().receive('{"event":"x"}');
  expect(seen).toEqual(["new"]);
});

test("removing a handler twice removes no other", () => {
  const { client, last } = opened();
  const handler = vi.fn();
  const remove = client.on("x", () => undefined);
  remove();
  client.on("x", handler);
  remove();
  last().receive('{"event":"x"}');
  expect(handler).toHaveBeenCalledOnce();
});

test("events whose handlers were removed are forgotten, and their calls refused", () => {
  const { client, last } = opened();
  const { _of } = client._router;
  const [bad, once, removed, off] = ["bad", "once", "removed", "off"].map((name) => [name, _of(name)] as const);
  client.once("once", () => undefined);
  last().receive('{"event":"once"}');
  client.on("removed", () => undefined)();
  client.on("off", () => undefined);
  client.off("off");
  expect(() => client.on("bad", 5 as never)).toThrow(UsageError);
  for (const [name] of [bad, once, removed, off]) last().receive(`{"event":"${name}","callId":"1"}`);
  expect(last().sent).toEqual(Array(4).fill(expect.stringContaining('"NO_HANDLER"')));
  for (const [name, listeners] of [once, removed, off]) expect(_of(name)).not.toBe(listeners);
});

test("a handler that is called once and fails is reported once", async () => {
  const { client, last, events } = opened();
  client.once("x", () => Promise.reject(new Error("mine")));
  last().receive('{"event":"x"}');
  last().receive('{"event":"x"}');
  await vi.waitFor(() => expect(events).toEqual([["error", "Error: mine"]]));
});

test("events without a handler do not count as running", () => {
  const { client, last, events } = opened();
  client.on("slow", () => new Promise(() => undefined));
  for (let count = 0; count < 1000; count++) last().receive('{"event":"slow"}');
  last().receive('{"event":"other"}');
  last().receive('{"event":"other","callId":"1"}');
  expect(events).toEqual([]);
  expect(last().sent[0]).toContain('"NO_HANDLER"');
});

test("queued messages that were not sent when the connection is lost again are kept", () => {
  const { client, sockets, last, events } = fakeClient({ queueLimit: 3 });
  for (const event of ["a", "b", "c"]) client.send(event);
  void client.connect();
  sockets[0].send = function (data) {
    this.sent.push(data);
    this.readyState = 2; // the server closes it
  };
  letIn({ client, last });
  last().end(1012);
  expect(events).toEqual(["open", ["close", 1012, true], ["reconnect", 1, 1.5]]);
  client.reconnect();
  letIn({ client, last });
  expect(sockets.map(names)).toEqual([["a"], ["b", "c"]]);
});

test("messages for a full connection are queued if there is room", () => {
  const { client, last } = opened({ queueLimit: 1, fastInterval: 0 });
  last().bufferedAmount = 2 ** 25;
  client.send("x");
  vi.advanceTimersByTime(0);
  letIn({ client, last });
  expect(last().sent).toEqual(['{"event":"x","payload":null}']);
});

test("while the server closes, messages are queued, or send throws", async () => {
  const { client, last, events } = opened({ queueLimit: 1, fastInterval: 0 });
  const asked = client.call("early");
  take(last().sent);
  last().closing();
  client.send("x");
  expect(() => client.send("y")).toThrow(NotConnected);
  await expect(client.call("x")).rejects.toThrow(NotConnected);
  expect([last().sent, events]).toEqual([[], []]);
  last().end(1001, "going");
  await expect(asked).rejects.toThrow("1001 going");
  vi.advanceTimersByTime(0);
  letIn({ client, last });
  expect(last().sent).toEqual(['{"event":"x","payload":null}']);
});

test.each(["before the heartbeat", "before its echo"])("the server's close %s is how the connection ends", (when) => {
  const { client, last, events } = opened({ pingInterval: 10, pongTimeout: 2 });
  const pings = vi.fn();
  client.onPing(pings);
  if (when === "before its echo") vi.advanceTimersByTime(10_000);
  take(last().sent);
  pings.mockClear();
  last().closing();
  vi.advanceTimersByTime(30_000);
  expect([last().sent, pings.mock.calls, events]).toEqual([[], [], []]);
  last().end(4010);
  expect(events).toEqual([["close", 4010, false]]);
  expect(vi.getTimerCount()).toBe(0);
});

test.each(["connect", "call", "send"] as const)("%s while the connection is closing", async (verb) => {
  const { client, sockets } = opened();
  const closed = client.close();
  if (verb === "connect") {
    void client.connect();
    sockets[1].open();
    sockets[0].end(4001);
    await closed;
    client.send("x");
    expect(sockets[1].sent).toHaveLength(1);
  } else await expect(async () => client[verb]("x")).rejects.toThrow(NotConnected);
});

test("no timers are left after close, whatever was going on", async () => {
  const { client, last } = opened({ pingInterval: 1, queueLimit: 1 });
  const calls = [client.call("a"), client.call("b", 1, { onPending: () => 0 })];
  vi.advanceTimersByTime(1000);
  const closed = client.close();
  last().end(4001);
  await closed;
  expect((await Promise.allSettled(calls)).map(({ status }) => status)).toEqual(["rejected", "rejected"]);
  expect(vi.getTimerCount()).toBe(0);
});

test("an option given as undefined was not given", () => {
  expect(fakeClient({ pingInterval: undefined }).client.pingInterval).toBe(10);
});

test("messages on a closing connection are ignored", () => {
  const { client, last } = opened();
  const handler = vi.fn();
  client.on("x", handler);
  client.onMessage(handler);
  void client.close();
  last().receive('{"event":"x"}');
  expect(handler).not.toHaveBeenCalled();
});

test("the policy may close the client", () => {
  const { client, last, sockets } = fakeClient({ reconnectPolicy: () => !!client.close() });
  void client.connect();
  last().end();
  expect([sockets.length, vi.getTimerCount()]).toEqual([1, 0]);
});

test("the echo of a lost connection's heartbeat is ignored", () => {
  const { client, last, events } = opened({ pingInterval: 10, fastInterval: 0 });
  vi.advanceTimersByTime(10_000);
  last().end();
  vi.advanceTimersByTime(0);
  last().open();
  last().receive("");
  expect(client.latency).toBeNull();
  vi.advanceTimersByTime(12_000);
  expect(events).toContain("pong timeout");
});

test("a close that the server never finishes ends as a loss, and leaves no timer if the client closes", async () => {
  const options = { pingInterval: 10, pongTimeout: 2 };
  const { last, events } = opened(options);
  last().closing();
  vi.advanceTimersByTime(71_999);
  expect(events).toEqual([]);
  vi.advanceTimersByTime(1);
  expect(events[0]).toEqual(["close", 1006, true]);
  const closed = opened(options);
  closed.last().closing();
  vi.advanceTimersByTime(30_000);
  void closed.client.close();
  closed.last().end(4010);
  expect(vi.getTimerCount()).toBe(1); // of the first one's next attempt
});

test("a new pingInterval still requires the echo", () => {
  const { client, events } = opened({ pingInterval: 10, pongTimeout: 2 });
  vi.advanceTimersByTime(10_000);
  client.pingInterval = 100;
  vi.advanceTimersByTime(2000);
  expect(events[0]).toBe("pong timeout");
});

test.each([
  [new EventError("full"), "full"],
  [undefined, "HANDLER_ERROR"],
])("a failure answers if it came before any value: %o", (error, code) => {
  const { client, last } = opened();
  client.on("ask", () => {
    throw error;
  });
  client.on("ask", () => 5);
  last().receive('{"event":"ask","callId":"1"}');
  expect(last().sent[0]).toContain(`{"callId":"1","error":{"code":"${code}"`);
});

test("the late end of a dropped connection does not affect the next one", async () => {
  const { client, sockets, last } = opened({ pingInterval: 10 });
  client.reconnect();
  last().open();
  const answer = client.call("say");
  sockets[0].receive('{"event":"say"}');
  sockets[0].end(1005);
  last().receive('{"payload":5,"callbackId":"1"}');
  expect(await answer).toBe(5);
  vi.advanceTimersByTime(10_000);
  expect(last().sent).toHaveLength(2);
});

test("handlers that have ended do not count as running", async () => {
  const { client, last, events } = opened();
  client.on("now", () => undefined);
  client.on("soon", () => Promise.reject(new EventError("full")));
  for (let count = 0; count < 600; count++) last().receive('{"event":"now","callId":"1"}');
  for (let count = 0; count < 600; count++) last().receive('{"event":"soon","callId":"1"}');
  await vi.waitFor(() => expect(last().sent).toHaveLength(1200));
  last().receive('{"event":"now","callId":"2"}');
  expect([events, last().sent.pop()]).toEqual([[], '{"callId":"2","payload":null}']);
});
