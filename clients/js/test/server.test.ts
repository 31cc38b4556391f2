/** The built package against a real Crosswire server, on Node.js. */
import { createRequire } from "node:module";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { WebSocket } from "ws";
import { CallTimeout, Client, EventError, type Options } from "../dist/esm/index.js";
import { msgpack } from "../dist/esm/msgpack.js";
import { CrosswireServer } from "./support/server.js";

interface ServerEvents {
  said: { by: string; text: string };
  question(data: number): number;
}

interface ClientEvents {
  echo(data: unknown): unknown;
  whoami(): { user: string; subprotocol: string | null };
  refuse(): never;
  never(): never;
  ask(data: number): number | { refused: [string, string] };
  join(room: string): null;
  say: { room: string; text: string };
  kick: number;
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

test("CommonJS has the same", async () => {
  const require = createRequire(import.meta.url);
  const cjs = require("../dist/cjs/index.js") as typeof import("../dist/esm/index.js");
  const client = new cjs.Client(server.url, { WebSocket, params: { id: "cjs" } });
  await client.connect();
  expect(await client.call("whoami")).toMatchObject({ user: "cjs" });
  await client.close();
});
