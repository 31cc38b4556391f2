import { afterEach, beforeEach, expect, test, vi } from "vitest";

/** A page whose visibility and network the test decides. */
const page = Object.assign(new EventTarget(), { visibilityState: "visible" });
const network = new EventTarget();

function turn(state: string): void {
  page.visibilityState = state;
  page.dispatchEvent(new Event("visibilitychange"));
}

let fakeClient: typeof import("./support/fake_socket.js").fakeClient;

beforeEach(async () => {
  vi.useFakeTimers();
  vi.stubGlobal("document", page);
  vi.stubGlobal("addEventListener", network.addEventListener.bind(network));
  vi.stubGlobal("removeEventListener", network.removeEventListener.bind(network));
  page.visibilityState = "visible";
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
  expect(last().sent).toEqual(['{"event":"$background","payload":null}']);
});

test("unless that is not wanted", () => {
  const { client, last } = fakeClient({ backgroundNotice: false });
  void client.connect();
  last().open();
  turn("hidden");
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

test.each(["online", "visible"])("%s ends the wait for the next attempt, and asks an open connection", (event) => {
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

test("a client that is closed, or stays away, listens to nothing", () => {
  const { client, last, sockets } = fakeClient();
  void client.connect();
  last().open();
  void client.close();
  last().end();
  turn("visible");
  network.dispatchEvent(new Event("online"));
  expect(sockets).toHaveLength(1);
});
