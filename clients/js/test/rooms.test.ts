/** What spec/recovery.json does not have: `resume`, and rooms without end. */
import { beforeEach, expect, test, vi } from "vitest";
import type { Options } from "../src/options.js";
import { fakeClient as makeClient } from "./support/fake_socket.js";

let page = Object.assign(new EventTarget(), { hidden: false });
let storage: Record<string, string> = {};
let fakeClient: typeof makeClient;

/** Another page in the same tab. */
async function load(): Promise<void> {
  page = Object.assign(new EventTarget(), { hidden: false });
  vi.stubGlobal("document", page);
  for (const act of ["addEventListener", "removeEventListener"]) vi.stubGlobal(act, () => undefined);
  vi.resetModules();
  ({ fakeClient } = await import("./support/fake_socket.js"));
}

beforeEach(async () => {
  storage = {};
  vi.stubGlobal("sessionStorage", storage);
  await load();
  return () => vi.unstubAllGlobals();
});

function turn(hidden: boolean): void {
  page.hidden = hidden;
  page.dispatchEvent(new Event("visibilitychange"));
}

const offered = (url: string) => url.split("&_cw_at=")[1];

/** A client that is connected, in a page that is shown. */
function connect(options: Options = { resume: true }) {
  const made = fakeClient(options);
  const rooms: unknown[] = [];
  const said: unknown[] = [];
  made.client.onRoom(({ id, recovered, reason }) => void rooms.push([id, recovered, reason]));
  made.client.on("said", (data) => said.push(data));
  void made.client.connect();
  made.last().open();
  made.last().ready();
  const tell = (id: string, at: string | null, recovered: boolean | null = null, reason: string | null = null) =>
    made.last().receive(JSON.stringify({ event: "$room", payload: { room: ["chat", id], at, recovered, reason } }));
  const say = (payload: unknown, at: string) => made.last().receive(JSON.stringify({ event: "said", payload, at }));
  return { ...made, rooms, said, tell, say };
}

test("positions last over a reload of the page, and nothing else", async () => {
  const { tell, say } = connect();
  tell("1", "AAAAAAAA.4");
  tell("2", null);
  say("five", "AAAAAAAA.5");
  turn(true);
  expect(Object.values(storage)).toEqual(['[["[\\"chat\\",\\"2\\"]","null"],["[\\"chat\\",\\"1\\"]","AAAAAAAA","5"]]']);
  await load();
  const next = connect();
  expect(offered(next.last().url)).toBe("AAAAAAAA.5");
  next.tell("1", "AAAAAAAA.5", true);
  next.say("five", "AAAAAAAA.5");
  next.say("six", "AAAAAAAA.6");
  next.tell("2", "BBBBBBBB.1");
  expect([next.said, next.rooms]).toEqual([
    ["six"],
    [
      ["1", true, null],
      ["2", false, "unavailable"],
    ],
  ]);
});

test("a tab that is duplicated while its page is shown has no positions", async () => {
  const { tell } = connect();
  tell("1", "AAAAAAAA.4");
  turn(true);
  turn(false);
  vi.stubGlobal("sessionStorage", { ...storage });
  await load();
  expect(offered(connect().last().url)).toBeUndefined();
});

test("positions are kept by a client that is closed before the page goes", async () => {
  const { client, tell } = connect();
  tell("1", "AAAAAAAA.4");
  void client.close();
  await load();
  expect(offered(connect().last().url)).toBe("AAAAAAAA.4");
});

test("without resume nothing is stored", () => {
  const { client, tell } = connect({});
  tell("1", "AAAAAAAA.4");
  turn(true);
  void client.close();
  expect(storage).toEqual({});
});

test("of two clients of one URL, the second takes nothing from the first", async () => {
  for (const id of ["1", "2"]) connect().tell(id, `AAAAAAA${id}.4`);
  turn(true);
  await load();
  expect([connect(), connect()].map(({ last }) => offered(last().url))).toEqual(["AAAAAAA1.4", undefined]);
});

test("the positions belong to the URL without its query", () => {
  const { tell } = connect({ resume: true, params: { token: "secret" } });
  tell("1", "AAAAAAAA.4");
  turn(true);
  expect(Object.keys(storage)).toEqual(["crosswire ws://test"]);
});

const forbidden = () => {
  throw new DOMException("no", "SecurityError");
};
test.each([
  ["forbidden", new Proxy({}, { get: forbidden, set: forbidden })],
  ["full", new Proxy({}, { set: forbidden })],
  ["absent", undefined],
  ["another's", { "crosswire ws://test": "not ours" }],
  ["null", { "crosswire ws://test": "null" }],
  ["an object", { "crosswire ws://test": '{"a":1}' }],
  ["a list of nothing", { "crosswire ws://test": "[null]" }],
])("where storage is %s, the client works without it", (_, given) => {
  vi.stubGlobal("sessionStorage", given);
  const { client, tell, rooms, events, last } = connect();
  tell("1", "AAAAAAAA.4");
  turn(true);
  turn(false);
  client.reconnect();
  expect([rooms, offered(last().url)]).toEqual([[["1", null, null]], "AAAAAAAA.4"]);
  expect(events.filter(([what]: any) => what === "error")).toEqual([]);
});

test("of more rooms than a client remembers, none is taken for new", () => {
  const { tell, rooms } = connect();
  for (let id = 0; id <= 1024; id++) tell(`${id}`, `${`${id}`.padStart(8, "0")}.1`);
  expect(rooms.splice(0).filter(([, recovered]: any) => recovered === null)).toHaveLength(1025);
  tell("1", "00000001.1");
  tell("0", "00000000.9");
  expect(rooms).toEqual([
    ["1", false, "too-much"],
    ["0", false, "too-much"],
  ]);
});

test("a handler of onRoom is called before those of the messages behind it, and what it throws is reported", () => {
  const { client, tell, say, said, events } = connect();
  client.onRoom(() => {
    said.push("room");
    throw new Error("no");
  });
  tell("1", "AAAAAAAA.4");
  say("five", "AAAAAAAA.5");
  expect(said).toEqual(["room", "five"]);
  expect(events).toContainEqual(["error", "Error: no"]);
});

test("onMessage sees messages that are dropped too", () => {
  const { client, tell, say, said } = connect();
  const raw: unknown[] = [];
  tell("1", "AAAAAAAA.4");
  client.onMessage((text) => void raw.push(text));
  say("four", "AAAAAAAA.4");
  expect([raw.length, said]).toEqual([1, []]);
});
