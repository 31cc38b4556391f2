/** What travels on a connection: signs of life, the queue, text that is none, and what nobody handles; by fake sockets. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { EventError } from "../src/errors.js";
import { JSON_CODEC } from "../src/messages.js";
import { msgpack } from "../src/msgpack.js";
import { fakeClient, take } from "./support/fake_socket.js";

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(Math, "random").mockReturnValue(0.5);
});
afterEach(() => void vi.useRealTimers());

function opened(...[options]: Parameters<typeof fakeClient>) {
  const fake = fakeClient(options);
  void fake.client.connect();
  fake.last().open();
  if (fake.client.pingInterval) fake.last().sent.shift();
  fake.last().ready();
  take(fake.events);
  return fake;
}

const names = ({ sent }: { sent: unknown[] }) =>
  sent.map((text) => (JSON.parse(text as string) as { event: string }).event);

// Signs of life

test("messages that arrive are signs of life, even those that can't be read; silence after them is none", () => {
  const { last, events } = opened({ pingInterval: 10, pongTimeout: 2 });
  vi.advanceTimersByTime(10_000);
  for (let second = 0; second < 30; second++) {
    last().receive(second % 2 ? '{"event":"x"}' : new Uint8Array([1]).buffer);
    vi.advanceTimersByTime(1000);
  }
  expect(events.filter((event: any) => event[0] !== "error")).toEqual([]);
  vi.advanceTimersByTime(4000);
  expect(events).toContain("pong timeout");
});

test("leaving bytes are signs of life while others wait; without any, the server is gone", () => {
  const { client, last, events } = opened({ pingInterval: 10, pongTimeout: 2 });
  client.send("x", "y".repeat(100));
  last().bufferedAmount = 1_000_000;
  vi.advanceTimersByTime(10_000);
  for (let second = 0; second < 60; second++) {
    last().bufferedAmount -= 10_000;
    vi.advanceTimersByTime(1000);
  }
  expect(events).toEqual([]);
  vi.advanceTimersByTime(4000);
  expect(events).toContain("pong timeout");
});

test("small messages that the system takes are no sign of life: a dead server is found", () => {
  const { client, last, events } = opened({ pingInterval: 10, pongTimeout: 2 });
  const { send } = last();
  last().send = function (data) {
    send.call(this, data);
    this.bufferedAmount = 50; // and at once it is taken
    setTimeout(() => (this.bufferedAmount = 0), 1);
  };
  const timer = setInterval(() => events.length || client.send("x"), 300);
  vi.advanceTimersByTime(14_000);
  clearInterval(timer);
  expect(events[0]).toBe("pong timeout");
});

test("bytes sent before a heartbeat have the time that a slow network takes, with a limit", () => {
  const upload = (bytes: number) => {
    const { client, events } = opened({ pingInterval: 10, pongTimeout: 2 });
    client.send("x", "y".repeat(bytes));
    vi.advanceTimersByTime(10_000);
    let seconds = 0;
    for (; !events.length; seconds++) vi.advanceTimersByTime(1000);
    return seconds;
  };
  expect(upload(10)).toBe(2);
  expect(upload(2 ** 19)).toBeGreaterThan(30); // half a megabyte at 20 kB/s
  expect(upload(2 ** 19)).toBeLessThan(40);
  expect(upload(2 ** 24)).toBeLessThan(70);
});

test("bytes sent before the last echo have arrived", () => {
  const { client, last, events } = opened({ pingInterval: 10, pongTimeout: 2 });
  client.send("x", "y".repeat(2 ** 20));
  vi.advanceTimersByTime(10_000);
  last().receive("");
  vi.advanceTimersByTime(12_000);
  expect(events[0]).toBe("pong timeout");
});

test("the package ws shows the bytes of a message that is still coming", () => {
  const { last, events } = opened({ pingInterval: 10, pongTimeout: 2 });
  const _socket = { bytesRead: 100 };
  Object.assign(last(), { _socket });
  vi.advanceTimersByTime(10_000);
  for (let second = 0; second < 20; second++) {
    _socket.bytesRead += 1000;
    vi.advanceTimersByTime(1000);
  }
  expect(events).toEqual([]);
  vi.advanceTimersByTime(4000);
  expect(events[0]).toBe("pong timeout");
});

// The queue

test("the queue is kept while connections end before the client is let in, and is sent once", () => {
  const { client, sockets, last } = fakeClient({ queueLimit: 500, fastInterval: 0 });
  const expected = Array.from({ length: 300 }, (_, index) => `e${index}`);
  for (const event of expected) client.send(event);
  void client.connect();
  for (const code of [1011, 1006, 1013]) {
    last().open();
    client.send(`while ${code}`);
    last().end(code);
    vi.advanceTimersByTime(0);
  }
  last().open();
  expect(last().sent).toEqual([]);
  last().ready();
  const while_ = ["while 1011", "while 1006", "while 1013"];
  expect(sockets.map(names)).toEqual([[], [], [], [...expected, ...while_]]);
  client.send("now");
  expect(names(last()).pop()).toBe("now");
});

test("without a queue, messages before the client is let in are sent at once", () => {
  const { client, last } = fakeClient();
  client.onOpen(() => client.send("first"));
  void client.connect();
  last().open();
  expect(names(last())).toEqual(["first"]);
});

test("a call before the client is let in sends the queue first, in its order", () => {
  const { client, last } = fakeClient({ queueLimit: 5 });
  client.send("a");
  client.onOpen(() => {
    client.send("b");
    void client.call("c").catch(() => undefined);
    client.send("d");
  });
  void client.connect();
  last().open();
  last().ready();
  expect(names(last())).toEqual(["a", "b", "c", "d"]);
});

test("a long queue is sent as the connection takes it, in order, before later messages", () => {
  const { client, last, events } = fakeClient({ queueLimit: 100 });
  const expected = Array.from({ length: 40 }, (_, index) => `e${index}`);
  for (const event of expected) client.send(event, "x".repeat(2 ** 10));
  void client.connect();
  last().send = function (data) {
    this.sent.push(data);
    this.bufferedAmount += 2 ** 20; // as if they were large
  };
  last().open();
  last().ready();
  expect(names(last()).length).toBeLessThan(12);
  client.send("later");
  for (let count = 0; count < 400; count++) {
    last().bufferedAmount = Math.max(last().bufferedAmount - 2 ** 18, 0);
    vi.advanceTimersByTime(50);
  }
  expect(names(last())).toEqual([...expected, "later"]);
  expect(events).toEqual(["open"]);
  void client.close();
  expect(vi.getTimerCount()).toBe(1); // the closing handshake's
});

// Text that is none

const UNITS = [
  "\ud83d",
  "\ude00",
  "\ud83d\ude00",
  "\\",
  "\\ud83d",
  '"',
  "a",
  "é",
  "\n",
  "\u0000",
  "\ud800",
  "\udfff",
  "d83d",
];

/** What UTF-8 makes of a text. */
const mended = (text: string) => Buffer.from(text, "utf8").toString("utf8");

/** Text of a few units, in which halves of pairs meet everything else. */
function texts(count: number): string[] {
  let state = 7;
  const draw = (below: number) => {
    state = (state * 1103515245 + 12345) % 2 ** 31;
    return Math.floor((state / 2 ** 31) * below);
  };
  return Array.from({ length: count }, () => Array.from({ length: draw(7) }, () => UNITS[draw(UNITS.length)]).join(""));
}

test.each([
  ["JSON", JSON_CODEC],
  ["MessagePack", msgpack],
])("half of a surrogate pair is sent as U+FFFD, anywhere, and the rest as it is: %s", (_, codec) => {
  for (const text of texts(3000)) {
    const encoded = codec.encode({ event: text, payload: [{ [`k${text}`]: [text, { deep: text }] }, 1, null] });
    if (typeof encoded === "string") expect(encoded).not.toMatch(/(?<!\\)(\\\\)*\\ud[89a-f]/i);
    const good = mended(text);
    expect(codec.decode(encoded)).toEqual({
      event: good,
      payload: [{ [`k${good}`]: [good, { deep: good }] }, 1, null],
    });
  }
});

// What nobody handles

test("a message that can't be decoded is shown to onMessage or reported", () => {
  const { client, last, events } = opened();
  const shown = vi.fn();
  const remove = client.onMessage(shown);
  last().receive("a protocol of one's own");
  expect([shown.mock.calls, events]).toEqual([[["a protocol of one's own"]], []]);
  remove();
  last().receive("not json");
  last().receive(new Uint8Array([0xff]).buffer);
  expect(events).toEqual([
    ["error", expect.stringContaining("JSON")],
    ["error", expect.stringContaining("JSON")],
  ]);
});

test("an event without a handler is logged once for each name, up to a limit", () => {
  const warn = vi.spyOn(console, "warn").mockImplementation(() => undefined);
  const { client, last } = opened();
  client.on("known", () => undefined);
  for (const event of ["typo", "known", "typo"]) last().receive(JSON.stringify({ event }));
  expect(warn.mock.calls).toEqual([["no handler for 'typo'"]]);
  for (let count = 0; count < 500; count++) last().receive(`{"event":"e${count}"}`);
  expect(warn).toHaveBeenCalledTimes(100);
});

test("a refusal that answers no call is reported", () => {
  const { client, last, events } = opened();
  client.on("ask", () => 5);
  client.on("ask", () => {
    throw new EventError("full", "the second handler's");
  });
  last().receive('{"event":"ask","callId":"1"}');
  expect(last().sent).toEqual(['{"callId":"1","payload":5}']);
  expect(events).toEqual([["error", "full: the second handler's"]]);
});
