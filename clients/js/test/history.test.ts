/** Rooms that keep history: the built package against real servers, with a real Redis. */
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { WebSocket } from "ws";
import { Client, type Options, type RoomState } from "../dist/esm/index.js";
import { msgpack } from "../dist/esm/msgpack.js";
import { CrosswireServer, Redis } from "./support/server.js";

const redis = new Redis();
const servers: CrosswireServer[] = [];
const clients: Client[] = [];

beforeAll(async () => {
  await redis.open();
  for (let count = 0; count < 2; count++) servers.push(new CrosswireServer(redis.url));
  await Promise.all(servers.map((server) => server.open()));
});
afterAll(async () => {
  await Promise.all(servers.map((server) => server.close()));
  await redis.close();
});
afterEach(() => Promise.all(clients.splice(0).map((client) => client.close())));

/** A client that goes into a room whenever it is connected, and notes what it hears there. */
async function enter(room: string, url: () => string, options: Options = {}) {
  const client = new Client(url, { WebSocket, fastInterval: 0.05, maxInterval: 0.05, callTimeout: 30, ...options });
  clients.push(client);
  const posted: unknown[] = [];
  const states: [recovered: RoomState["recovered"], reason: RoomState["reason"]][] = [];
  client.onError(() => undefined);
  client.onRoom(({ recovered, reason }) => void states.push([recovered, reason]));
  client.on("posted", (text) => void posted.push(text));
  let entered = Promise.resolve();
  client.onOpen(() => {
    entered = client.call("enter", room);
    return entered;
  });
  await client.connect();
  await entered;
  return { client, posted, states };
}

const numbers = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, index) => first + index);

test.each([undefined, msgpack])("a server is killed, and another gives what was missed, codec %#", async (codec) => {
  const room = `killed-${codec?.subprotocol}`;
  const [one, two] = servers;
  let url = one.url;
  const options = { params: { id: "1" }, ...(codec && { codec }) };
  const { posted, states, client } = await enter(room, () => url, options);
  const speaker = await enter(room, () => two.url, { params: { id: "2" } });
  const post = async (first: number, last: number) => {
    for (const text of numbers(first, last)) await speaker.client.call("post", { room, text });
  };
  await post(1, 5);
  await expect.poll(() => posted).toEqual(numbers(1, 5));
  const lost = new Promise((resolve) => client.onClose(resolve, { once: true }));
  url = "ws://127.0.0.1:1"; // nobody
  await one.kill();
  await lost;
  await post(6, 20);
  url = two.url;
  await post(21, 30);
  await expect.poll(() => posted.length).toBe(30);
  await post(31, 32);
  await expect.poll(() => posted).toEqual(numbers(1, 32));
  expect(states).toEqual([
    [null, null],
    [true, null],
  ]);
  expect([speaker.posted, speaker.states]).toEqual([numbers(1, 32), [[null, null]]]);
  await one.start();
});

test("a client that knows nothing of history gets every message once, and nothing else", async () => {
  const [{ url }] = servers;
  const room = "with-an-original";
  const { client, posted } = await enter(room, () => url, { params: { id: "1" } });
  const original = new WebSocket(`${url}/?id=2`);
  const frames: any[] = [];
  original.on("message", (raw: Buffer) => frames.push(JSON.parse(raw.toString())));
  await new Promise((resolve) => original.once("open", resolve));
  original.send(JSON.stringify({ event: "enter", payload: room, callbackId: "1" }));
  await expect.poll(() => frames).toHaveLength(1);
  for (const text of numbers(1, 10)) await client.call("post", { room, text });
  await expect.poll(() => frames.slice(1).map(({ payload }) => payload)).toEqual(numbers(1, 10));
  expect(posted).toEqual(numbers(1, 10));
  expect(new Set(frames.slice(1).map(({ event }) => event))).toEqual(new Set(["posted"]));
  original.close();
});
