/** The built package against a real Crosswire server, on Node.js. */
import { createRequire } from "node:module";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { WebSocket, WebSocketServer } from "ws";
import { CallTimeout, Client, EventError, type Options, Refused, type WebSocketClass } from "../dist/esm/index.js";
import { msgpack } from "../dist/esm/msgpack.js";
import { CrosswireServer } from "./support/server.js";

interface ServerEvents {
  said: { by: string; text: string };
  question(data: number): number;
}

interface ClientEvents {
  echo(data: unknown): unknown;
  ticket(): string;
  advance(seconds: number): null;
  whoami(): { user: string; subprotocol: string | null };
  refuse(): never;
  never(): never;
  ask(data: number): number | { refused: [string, string] };
  join(room: string): null;
  say: { room: string; text: string };
  kick: number;
  note: number;
  noted(): number[];
  length(text: string): number;
}

const server = new CrosswireServer();
const clients: Client<ServerEvents, ClientEvents>[] = [];

beforeAll(() => server.open());
afterAll(() => server.close());
afterEach(() => Promise.all(clients.splice(0).map((client) => client.close())));

async function connect(id: string, options: Options = {}) {
  const client = new Client<ServerEvents, ClientEvents>(server.url, {
    params: { id },
    WebSocket,
    fastInterval: 0.05,
    maxInterval: 0.05,
    ...options,
  });
  clients.push(client);
  client.onError(() => undefined);
  await client.connect();
  return client;
}

const next = (client: Client<ServerEvents, ClientEvents>, hook: "onOpen" | "onPong") =>
  new Promise<void>((resolve) => client[hook](() => resolve(), { once: true }));

test.each([undefined, msgpack])("calls, refusals and calls of the server, codec %#", async (codec) => {
  const client = await connect("13", codec && { codec });
  expect(await client.call("whoami")).toEqual({ user: "13", subprotocol: codec ? "crosswire.msgpack" : null });
  const data = { text: "größer 🎉", list: [1, -200, 2.5, null, true], big: 2 ** 40, deep: { a: {} } };
  expect(await client.call("echo", data)).toEqual(data);
  const refused = await client.call("refuse").catch((error: unknown) => error);
  expect(refused).toBeInstanceOf(EventError);
  expect(refused).toMatchObject({ code: "full", message: "the room is full" });
  await expect(client.call("never", undefined, { timeout: 0.05 })).rejects.toThrow(CallTimeout);
  client.once("question", async (number) => number + 1);
  expect(await client.call("ask", 41)).toBe(42);
  expect(await client.call("ask", 41)).toMatchObject({ refused: ["NO_HANDLER", expect.anything()] });
});

test("messages of a room reach who is in it", async () => {
  const [one, two] = await Promise.all([connect("1"), connect("2")]);
  const said = new Promise((resolve) => two.on("said", resolve));
  await two.call("join", "1000");
  one.send("say", { room: "1000", text: "hi" });
  expect(await said).toEqual({ by: "1", text: "hi" });
});

test.each([undefined, msgpack])("a token that expires is renewed on the same connection, codec %#", async (codec) => {
  let ticket = 0;
  let closes = 0;
  const params = async () => ({ id: "20", lasts: 60, ticket: ++ticket });
  const client = await connect("20", { params, ...(codec && { codec }) });
  client.onClose(() => closes++);
  for (const renewed of ["2", "3"]) {
    await client.call("advance", 45);
    await expect.poll(() => client.call("ticket")).toBe(renewed);
  }
  expect(closes).toBe(0);
});

test("a client whose function fails is closed when its token expires, and connects anew", async () => {
  let ticket = 0;
  const params = () => {
    if (++ticket === 2) throw new Error("the office is closed");
    return { id: "21", lasts: 60, ticket };
  };
  const client = await connect("21", { params });
  const closed = new Promise((resolve) => client.onClose(resolve, { once: true }));
  await client.call("advance", 45);
  await expect.poll(() => ticket).toBe(2);
  await client.call("advance", 15);
  const close = await closed;
  expect(close).toEqual({ code: 4014, reason: "the token has expired" });
  await client.connect();
  expect(await client.call("ticket")).toBe("3");
});

test("heartbeats are echoed", async () => {
  const client = await connect("1", { pingInterval: 0.02 });
  await next(client, "onPong");
  expect(client.latency).toBeGreaterThan(0);
});

test("the close code decides", async () => {
  const client = await connect("1");
  const closes: unknown[] = [];
  client.onClose((close) => closes.push(close));
  const open = next(client, "onOpen");
  client.send("kick", 4000);
  await open;
  client.send("kick", 4010);
  await expect.poll(() => closes).toHaveLength(2);
  expect(closes).toEqual([4000, 4010].map((code) => ({ code, reason: "as you wish" })));
  expect(client.reconnecting).toBe(false);
});

test("a server that is killed is found again, and gets what was queued", async () => {
  const client = await connect("1", { queueLimit: 10 });
  const lost = new Promise<void>((resolve) => client.onClose(() => resolve(), { once: true }));
  client.on("said", () => undefined);
  await server.kill();
  await lost;
  client.send("say", { room: "none", text: "queued" });
  const open = next(client, "onOpen");
  await server.start();
  await open;
  expect(await client.call("echo", "back")).toBe("back");
});

test.each([10, null])(
  "where the answer to the upgrade is seen, it tells what to wait for, ping interval %s",
  async (pingInterval) => {
    const refused = connect("13", { params: { id: "13", refuse: 4011, delay: 1.5 }, pingInterval });
    await expect(refused).rejects.toMatchObject({ code: 4011 });
    const other = new WebSocketServer({ port: 0 }); // says nothing, not even an echo
    const began = performance.now();
    const client = new Client(`ws://127.0.0.1:${(other.address() as AddressInfo).port}`, { WebSocket, pingInterval });
    await client.connect();
    const waited = performance.now() - began;
    expect(waited).toBeGreaterThan(990);
    expect(waited).toBeLessThan(5000);
    await client.close();
    other.close();
  },
);

test("CommonJS has the same", async () => {
  const require = createRequire(import.meta.url);
  const cjs = require("../dist/cjs/index.js") as typeof import("../dist/esm/index.js");
  const client = new cjs.Client(server.url, { WebSocket, params: { id: "cjs" } });
  await client.connect();
  expect(await client.call("whoami")).toMatchObject({ user: "cjs" });
  await client.close();
});

const sockets: [string, WebSocketClass][] = [["the package ws", WebSocket as unknown as WebSocketClass]];
if (globalThis.WebSocket) sockets.push(["Node's own WebSocket", globalThis.WebSocket as WebSocketClass]);

describe.each(sockets)("with %s", (_, Class) => {
  test("connect waits until the server has let the client in, however long that takes", async () => {
    const began = performance.now();
    const client = await connect("13", { params: { id: "13", delay: 1.5 }, WebSocket: Class });
    expect(performance.now() - began).toBeGreaterThan(1490);
    expect(await client.call("whoami")).toMatchObject({ user: "13" });
    expect(client.latency).toBeNull(); // the first echo tells nothing of the network
  });

  test.each([4011, 4500])("a refusal with %i is the code and the reason that connect fails with", async (code) => {
    const params = { id: "13", refuse: code, delay: 0.1 };
    const reconnectPolicy = () => false;
    const refusal = await connect("13", { params, WebSocket: Class, reconnectPolicy }).catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(Refused);
    expect(refusal).toMatchObject({ code, reason: "as you wish", close: { code, reason: "as you wish" } });
  });
});

test("delays grow while authenticate fails", async () => {
  let attempts = 0;
  const params = () => {
    attempts++;
    return { id: "13", fail: true };
  };
  const options = { params, fastInterval: 0.02, fastRetries: 1, maxInterval: 0.1, retryLimit: 6 };
  await expect(connect("13", options)).rejects.toMatchObject({ close: { code: 1011 } });
  expect(attempts).toBe(7);
});

test("a long queue that meets a slow authenticate is delivered whole, in order, and once", async () => {
  const client = new Client<ServerEvents, ClientEvents>(server.url, {
    params: { id: "13", delay: 0.5 },
    WebSocket,
    queueLimit: 1000,
  });
  clients.push(client);
  const expected = Array.from({ length: 800 }, (_, index) => index);
  for (const number of expected) client.send("note", number);
  await client.connect();
  expect(await client.call("noted")).toEqual(expected);
});

test("messages that are sent when the connection opens are delivered whole, in order, and once", async () => {
  const client = await connectLater({ id: "13", delay: 0.5 });
  const expected = Array.from({ length: 800 }, (_, index) => index);
  client.onOpen(() => expected.forEach((number) => client.send("note", number)));
  await client.connect();
  expect(await client.call("noted")).toEqual(expected);
});

async function connectLater(params: Record<string, string | number>) {
  const client = new Client<ServerEvents, ClientEvents>(server.url, { params, WebSocket });
  clients.push(client);
  return client;
}

test("half of a surrogate pair arrives as U+FFFD, in names too", async () => {
  const client = await connect("13");
  expect(await client.call("echo", { ["\ud83d"]: "a\ude00\\ud83d" })).toEqual({ "\ufffd": "a\ufffd\\ud83d" });
});

test("a slow network is no silence, neither up nor down", async () => {
  const client = await connect("13", { pingInterval: 0.3, pongTimeout: 1.5, callTimeout: 30 });
  const closes: unknown[] = [];
  client.onClose((close) => closes.push(close));
  const text = "x".repeat(400_000);
  server.pace = 200_000;
  try {
    expect(await client.call("echo", text)).toBe(text);
  } finally {
    server.pace = undefined;
  }
  expect(closes).toEqual([]);
});

test("an upgrade that is refused is tried again; subprotocols of one's own can be offered, and the chosen one is told", async () => {
  const sockets = new WebSocketServer({ noServer: true, handleProtocols: (offered) => [...offered].pop()! });
  sockets.on("connection", (socket) => socket.on("message", (raw, binary) => socket.send(raw, { binary }))); // echoes
  const statuses = ["403 Forbidden", "404 Not Found", "502 Bad Gateway"];
  const http = createServer().on("upgrade", (request, socket, head) => {
    const status = statuses.shift();
    if (status) socket.end(`HTTP/1.1 ${status}\r\ncontent-length: 0\r\n\r\n`);
    else sockets.handleUpgrade(request, socket, head, (opened) => sockets.emit("connection", opened, request));
  });
  await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
  const { port } = http.address() as AddressInfo;
  const options = { WebSocket, codec: msgpack, subprotocols: ["v1.chat", "v2.chat"], fastInterval: 0.02 };
  const client = new Client(`ws://127.0.0.1:${port}`, options);
  clients.push(client);
  const errors: unknown[] = [];
  client.onError((error) => errors.push(error));
  await client.connect();
  expect(errors).toMatchObject([403, 404, 502].map((status) => ({ message: expect.stringContaining(`${status}`) })));
  expect(errors).toMatchObject(Array(3).fill({ close: { code: 1006 } }));
  expect(client.subprotocol).toBe("v2.chat");
  const echoed = new Promise((resolve) => client.on("x", resolve));
  client.send("x", "as JSON, as the server does not speak MessagePack");
  expect(await echoed).toMatch("as JSON");
  await client.close();
  http.close();
  sockets.close();
});
