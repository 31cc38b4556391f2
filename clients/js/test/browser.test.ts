/** The script build in a real Chromium. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { readFileSync } from "node:fs";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { WebSocket } from "ws";
import { Client } from "../dist/esm/index.js";
import type * as Crosswire from "../dist/esm/index.js";
import { launch } from "./support/chromium.js";
import { CrosswireServer } from "./support/server.js";

declare global {
  interface Window {
    Crosswire: typeof Crosswire & { msgpack: Crosswire.Codec };
    client: Crosswire.Client;
    log: unknown[];
  }
}

const server = new CrosswireServer();
const scripts = ["crosswire.min.js", "msgpack.min.js"].map((file) =>
  readFileSync(new URL(`../dist/${file}`, import.meta.url), "utf8"),
);
const html = `<!doctype html><title>test</title>${scripts.map((script) => `<script>${script}</script>`).join("")}`;
let site: Server;
let browser: Browser;
let context: BrowserContext;
let page: Page;

beforeAll(async () => {
  site = createServer((_, response) => response.setHeader("content-type", "text/html").end(html));
  const launched = launch();
  await Promise.all([server.open(), new Promise<void>((resolve) => site.listen(0, "127.0.0.1", resolve))]);
  browser = await launched;
});

afterAll(async () => {
  await browser?.close();
  await server.close();
  site.close();
});

beforeEach(async () => {
  context = await browser.newContext();
  page = await open("13");
});

afterEach(() => context.close());

/** Open a page with a client that is connected, and notes what becomes of it. */
async function open(id: string): Promise<Page> {
  const opened = await context.newPage();
  await opened.goto(`http://127.0.0.1:${(site.address() as AddressInfo).port}/`);
  await opened.evaluate(
    async ([url, user]) => {
      const options = { params: { id: user }, fastInterval: 0.1, maxInterval: 0.1 };
      const client = (window.client = new window.Crosswire.Client(url, options));
      const log: unknown[] = (window.log = []);
      client.onOpen(() => log.push("open"));
      client.onClose(({ code }) => log.push(code));
      client.onError(() => undefined);
      client.on("said", ({ by, text }) => log.push(`${by}: ${text}`));
      client.on("question", (data: number) => Promise.resolve(data + 1));
      await client.connect();
    },
    [server.url, id],
  );
  return opened;
}

const logged = (count: number, where = page) =>
  where
    .waitForFunction((least) => window.log.length >= least && window.log, count)
    .then((log) => log.jsonValue() as Promise<unknown[]>);

test("calls both ways, and a refusal", async () => {
  expect(await page.evaluate(() => window.client.call("echo", { text: "größer" }))).toEqual({ text: "größer" });
  expect(await page.evaluate(() => window.client.call("ask", 41))).toBe(42);
  const error = () =>
    window.client.call("refuse").catch((each) => [each instanceof window.Crosswire.EventError, each.code]);
  expect(await page.evaluate(error)).toEqual([true, "full"]);
});

test("MessagePack", async () => {
  const told = await page.evaluate(async (url) => {
    const client = new window.Crosswire.Client(url, { params: { id: "15" }, codec: window.Crosswire.msgpack });
    await client.connect();
    const answers = [await client.call("whoami"), await client.call("echo", { text: "größer", n: [2 ** 40, -1.5] })];
    await client.close();
    return answers;
  }, server.url);
  expect(told).toEqual([
    { user: "15", subprotocol: "crosswire.msgpack" },
    { text: "größer", n: [2 ** 40, -1.5] },
  ]);
});

test("a message to a room", async () => {
  const other = await open("14");
  await other.evaluate(() => window.client.call("join", "1000"));
  await page.evaluate(() => window.client.send("say", { room: "1000", text: "hi" }));
  expect(await logged(2, other)).toEqual(["open", "13: hi"]);
});

test("a server that is killed is found again", async () => {
  await server.kill();
  expect(await logged(2)).toEqual(["open", 1006]);
  await server.start();
  expect(await logged(3)).toEqual(["open", 1006, "open"]);
  expect(await page.evaluate(() => window.client.call("whoami"))).toMatchObject({ user: "13" });
});

test("a server that is stopped is given up, and found again when it goes on", async () => {
  await whileStalled(async () => {
    await page.evaluate(() => void (window.client.pingInterval = 0.1));
    expect(await logged(2)).toEqual(["open", 1006]);
    await page.evaluate(() => void (window.client.pingInterval = null));
  });
  expect(await logged(3)).toEqual(["open", 1006, "open"]);
});

test("connect is rejected with a refusal", async () => {
  const refused = await page.evaluate(async (url) => {
    const client = new window.Crosswire.Client(url, { params: () => ({ id: "15", refuse: 4011, delay: 0.2 }) });
    return client.connect().catch((error) => [error instanceof window.Crosswire.Refused, error.code, error.reason]);
  }, server.url);
  expect(refused).toEqual([true, 4011, "as you wish"]);
});

test("a slow upload is no silence", async () => {
  server.pace = 300_000;
  try {
    const length = await page.evaluate(() => {
      window.client.pingInterval = 0.3;
      return window.client.call("length", "x".repeat(1_000_000), { timeout: 30 });
    });
    expect(length).toBe(1_000_000);
    expect(await page.evaluate(() => window.log)).toEqual(["open"]);
  } finally {
    server.pace = undefined;
  }
});

test("a server that never answers an attempt is given up, and found again", async () => {
  await page.evaluate(() => {
    window.client.onError((error) => window.log.push((error as Error).message));
  });
  await whileStalled(async () => {
    await page.evaluate(() => window.client.reconnect());
    expect(await logged(3)).toEqual(["open", 1000, "not connected (1006 no answer within 10 s)"]);
  });
  expect((await logged(4))[3]).toBe("open");
});

test("a server that does not read is given up, and found again", async () => {
  await whileStalled(async () => {
    const flood = () => {
      for (let sent = 0; sent < 40; sent++) window.client.send("echo", "x".repeat(2 ** 20));
    };
    await expect(page.evaluate(flood)).rejects.toThrow("not connected");
    expect(await logged(2)).toEqual(["open", 1006]);
  });
  expect(await logged(3)).toEqual(["open", 1006, "open"]);
});

test("close and reconnect end an attempt", async () => {
  await whileStalled(async () => {
    await page.evaluate(() => {
      window.client.reconnect();
      window.client.reconnect();
      return window.client.close();
    });
    expect(await page.evaluate(() => [window.log, window.client.reconnecting])).toEqual([["open", 1000], false]);
  });
});

test("a reload of the page loses nothing, with resume", async () => {
  const enter = () =>
    page.evaluate(async (url) => {
      const heard = () => JSON.parse(sessionStorage.heard || "[]") as unknown[];
      const note = (what: unknown) => (sessionStorage.heard = JSON.stringify([...heard(), what]));
      const client = new window.Crosswire.Client(url, { params: { id: "21" }, resume: true });
      client.onRoom(({ recovered, reason }) => note([recovered, reason]));
      client.on("posted", note);
      await client.connect();
      await client.call("enter", "reloaded");
    }, server.url);
  const heard = () => page.evaluate(() => JSON.parse(sessionStorage.heard) as unknown[]);
  const speaker = new Client(server.url, { WebSocket, params: { id: "22" } });
  await speaker.connect();
  const numbers = (first: number, last: number) =>
    Array.from({ length: last - first + 1 }, (_, index) => first + index);
  const post = async (first: number, last: number) => {
    for (const text of numbers(first, last)) await speaker.call("post", { room: "reloaded", text });
  };
  await page.evaluate(() => window.client.close());
  await enter();
  await post(1, 10);
  await expect.poll(heard).toEqual([[null, null], ...numbers(1, 10)]);
  const posts = post(11, 60); // before, while and after the page is loaded anew
  await page.reload();
  await posts;
  await enter();
  await post(61, 70);
  await expect.poll(async () => (await heard()).length).toBe(72);
  const all = await heard();
  expect(all.filter((each) => typeof each === "number")).toEqual(numbers(1, 70));
  expect(all.filter((each) => typeof each !== "number")).toEqual([
    [null, null],
    [true, null],
  ]);
  await speaker.close();
});

async function whileStalled(act: () => Promise<void>): Promise<void> {
  server.stall();
  try {
    await act();
  } finally {
    server.resume();
  }
}

test("offline and online", async () => {
  await context.setOffline(true);
  // The network takes its open connections along only in some versions of Chromium; attempts fail in all.
  await page.evaluate(() => window.client.reconnect());
  expect(await logged(2)).toEqual(["open", 1000]);
  await page.evaluate(() => new Promise<void>((resolve) => window.client.onReconnect(() => resolve(), { once: true })));
  expect(await page.evaluate(() => window.client.reconnecting)).toBe(true);
  await context.setOffline(false);
  expect((await logged(3))[2]).toBe("open");
});

test("the browser's online event ends a long wait", async () => {
  await page.evaluate(() => {
    const options = { fastInterval: 1000, maxInterval: 1000, reconnectPolicy: () => true };
    const client = new window.Crosswire.Client(`ws://127.0.0.1:1`, options);
    window.log.length = 0;
    client.onError(() => window.log.push("failed"));
    client.onReconnect(() => window.log.push("waits"));
    void client.connect();
  });
  expect(await logged(2)).toEqual(["failed", "waits"]);
  await context.setOffline(true);
  await context.setOffline(false);
  expect(await logged(4)).toEqual(["failed", "waits", "failed", "waits"]);
});

test("a page that nobody sees is closed by the server, and comes back when it is shown", async () => {
  const turn = (...states: string[]) =>
    page.evaluate((each) => {
      for (const state of each) {
        Object.defineProperty(document, "hidden", { value: state === "hidden", configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));
      }
    }, states);
  await turn("hidden", "visible", "hidden");
  expect(await logged(2)).toEqual(["open", 4013]);
  expect(await page.evaluate(() => window.client.reconnecting)).toBe(true);
  await turn("visible");
  expect(await logged(3)).toEqual(["open", 4013, "open"]);
});
