import { afterEach, beforeEach, expect, test, vi } from "vitest";

/** A page whose visibility and network the test decides. */
const makePage = () => Object.assign(new EventTarget(), { hidden: false });
let page = makePage();
let network = new EventTarget();

function turn(state: "hidden" | "visible"): void {
  page.hidden = state === "hidden";
  page.dispatchEvent(new Event("visibilitychange"));
}

let fakeClient: typeof import("./support/fake_socket.js").fakeClient;

beforeEach(async () => {
  vi.useFakeTimers();
  page = makePage();
  network = new EventTarget();
  vi.stubGlobal("document", page);
  vi.stubGlobal("addEventListener", network.addEventListener.bind(network));
  vi.stubGlobal("removeEventListener", network.removeEventListener.bind(network));
  vi.resetModules();
  ({ fakeClient } = await import("./support/fake_socket.js"));
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

test("the server is told when the page is hidden and shown, and on a new connection if it is hidden", () => {
  const { client, last } = fakeClient();
  void client.connect();
  last().open();
  turn("hidden");
  turn("visible");
  expect(last().sent).toEqual(['{"event":"$background","payload":null}', '{"event":"$foreground","payload":null}']);
  turn("hidden");
  client.reconnect();
  last().open();
  last().ready();
  expect(last().sent).toEqual(['{"event":"$background","payload":null}']);
});

test("without backgroundNotice the server is told nothing", () => {
  const { client, last } = fakeClient({ backgroundNotice: false });
  void client.connect();
  last().open();
  turn("hidden");
  expect(last().sent).toEqual([]);
});

test("notices about the page are never queued", () => {
  const { client, last } = fakeClient({ queueLimit: 1 });
  void client.connect();
  last().open();
  last().closing();
  turn("hidden");
  turn("visible");
  last().end(1001);
  client.reconnect();
  last().open();
  expect(last().sent).toEqual([]);
});

test("closed for being in the background, the client waits until the page is shown", () => {
  const { client, last, events, sockets } = fakeClient();
  void client.connect();
  last().open();
  turn("hidden");
  last().end(4013);
  expect(events).toEqual(["open", ["close", 4013, true]]);
  expect(vi.getTimerCount()).toBe(0);
  turn("visible");
  expect(sockets).toHaveLength(2);
});

test.each(["online", "visible"])("%s makes the next attempt at once, and tests an open connection", (event) => {
  const { client, last, sockets } = fakeClient({ fastInterval: 1000, maxInterval: 1000, pingInterval: 100 });
  const wake = () => (event === "online" ? network.dispatchEvent(new Event("online")) : turn("visible"));
  void client.connect();
  last().end();
  wake();
  expect(sockets).toHaveLength(2);
  wake(); // while dialling
  expect(sockets).toHaveLength(2);
  last().open();
  wake();
  expect(last().sent).toContain("");
});

test("a client that is closed, or stays away, has no listeners on the page", () => {
  const { client, last, sockets } = fakeClient();
  void client.connect();
  last().open();
  void client.close();
  last().end();
  turn("visible");
  network.dispatchEvent(new Event("online"));
  expect(sockets).toHaveLength(1);
});

test("an attempt after a wait that was cut short is not reconnecting, if nothing was lost yet", () => {
  const { client, last, sockets } = fakeClient({ fastInterval: 1000, maxInterval: 1000 });
  void client.connect();
  last().end();
  turn("visible");
  expect([sockets.length, client.reconnecting]).toEqual([2, false]);
});

test.each([{}, { hidden: false }, undefined])(
  "a document %o without events does not prevent a connection",
  async (page) => {
    vi.stubGlobal("document", page);
    vi.stubGlobal("addEventListener", undefined);
    vi.stubGlobal("removeEventListener", undefined);
    vi.resetModules();
    ({ fakeClient } = await import("./support/fake_socket.js"));
    const { client, last, events } = fakeClient();
    void client.connect();
    last().open();
    void client.close();
    expect(events).toEqual(["open", ["close", 4001, false]]);
  },
);

test("every listener of the page is removed by close", () => {
  const kept = new Set<unknown>();
  for (const target of [page, network, globalThis]) {
    vi.spyOn(target, "addEventListener").mockImplementation((event, handler) => void kept.add(handler).add(event));
    vi.spyOn(target, "removeEventListener").mockImplementation((event, handler) => {
      kept.delete(handler);
      kept.delete(event);
    });
  }
  const { client, last } = fakeClient();
  void client.connect();
  expect(kept.size).toBe(4);
  last().end(4011);
  void client.close();
  expect(kept.size).toBe(0);
});

test("React Native's URL is enough", () => {
  vi.stubGlobal(
    "URL",
    class {
      get protocol(): string {
        throw new Error("not implemented");
      }
    },
  );
  const { client, last } = fakeClient({ params: { id: "13" } });
  void client.connect();
  expect(last().url).toBe("ws://test/?id=13&_cw=2");
});

test("hiding the page makes no attempt", () => {
  const { client, last, sockets } = fakeClient({ fastInterval: 1000, maxInterval: 1000 });
  void client.connect();
  last().end();
  turn("hidden");
  expect(sockets).toHaveLength(1);
});

test("after 4013 the client reconnects as usual if the page is shown, or the application reconnects", () => {
  const { client, last, events, sockets } = fakeClient();
  void client.connect();
  last().open();
  last().end(4013);
  expect(events[events.length - 1]).toMatchObject(["reconnect", 1, expect.any(Number)]);
  client.reconnect();
  last().open();
  turn("hidden");
  client.onClose(() => client.reconnect(), { once: true });
  last().end(4013);
  expect(sockets).toHaveLength(3);
});

test("no second heartbeat is sent while an echo is awaited", () => {
  const { client, last } = fakeClient({ pingInterval: 10 });
  void client.connect();
  last().open();
  vi.advanceTimersByTime(1);
  for (let count = 0; count < 2; count++) network.dispatchEvent(new Event("online"));
  expect(last().sent).toEqual([""]);
});

test("a client that is told to reconnect listens to the page again", () => {
  const { client, last, sockets } = fakeClient({ fastInterval: 1000, maxInterval: 1000 });
  client.reconnect();
  last().end();
  network.dispatchEvent(new Event("online"));
  expect(sockets).toHaveLength(2);
});
