/** What the compiler must accept and refuse; `npm run check` looks, and nothing here runs. */
import { expectTypeOf, test } from "vitest";
import { Client, type Close, ConfigError, EventError, NotConnected, Refused } from "../src/index.js";

interface ServerEvents {
  news: { text: string };
  question(data: number): string;
  bare: undefined;
  maybe: { text: string } | undefined;
  poke(): void;
}

interface ClientEvents {
  typing: { room: string };
  bare: undefined;
  say(data: { msg: string }): { msg: string };
  time(): Promise<number>;
  find(data: string): { id: string } | undefined;
  done(): void;
}

export function typed(client: Client<ServerEvents, ClientEvents>): void {
  client.on("news", (data) => expectTypeOf(data).toEqualTypeOf<{ text: string }>());
  client.on("question", (data) => `${data + 1}`);
  client.on("question", async (data) => `${data + 1}`);
  expectTypeOf(client.call("say", { msg: "hi" })).toEqualTypeOf<Promise<{ msg: string }>>();
  expectTypeOf(client.call("time")).toEqualTypeOf<Promise<number>>();
  client.call("time", undefined, { timeout: 1 });
  client.call("time", undefined, {
    timeout: undefined,
    onPending: undefined,
    pendingAfter: undefined,
    signal: undefined,
  });
  client.on("bare", () => 0, { once: undefined, tag: undefined });
  // What is undefined here arrives as null there.
  client.on("bare", (data) => expectTypeOf(data).toEqualTypeOf<null>());
  client.on("maybe", (data) => expectTypeOf(data).toEqualTypeOf<{ text: string } | null>());
  client.on("poke", (data) => void expectTypeOf(data).toEqualTypeOf<null>());
  client.on("poke", async () => {});
  expectTypeOf(client.call("find", "x")).toEqualTypeOf<Promise<{ id: string } | null>>();
  expectTypeOf(client.call("done")).toEqualTypeOf<Promise<null>>();
  client.send("typing", { room: "1" });
  client.send("bare");
  // @ts-expect-error there is no such event
  client.on("other", () => 0);
  // @ts-expect-error the answer is a string
  client.on("question", () => 5);
  // @ts-expect-error the data is missing
  client.send("typing");
  // @ts-expect-error the data is of another kind
  client.call("say", { text: "hi" });
}

/** Handlers that can't be right: none of them is taken. */
export function wrong(client: Client<ServerEvents, ClientEvents>): void {
  // @ts-expect-error the data has no such type
  client.on("news", (data: string) => data);
  // @ts-expect-error it is called with the data alone
  client.on("news", (socket: unknown, data: { text: string }) => data);
  // @ts-expect-error of an event that has no data there is null
  client.on("bare", (data: string) => data);
  // @ts-expect-error it may be null
  client.on("maybe", (data: { text: string }) => data);
  // @ts-expect-error no function
  client.on("news", "handler");
  // @ts-expect-error a generator does nothing when it is called
  client.on("question", function* () {
    yield "an answer";
  });
  // @ts-expect-error the answer is a string, also of an asynchronous one
  client.on("question", async () => 5);
  // @ts-expect-error no answer
  client.on("question", () => {});
  // @ts-expect-error the event has no data
  client.once("poke", (data: { text: string }) => void data);
  // @ts-expect-error a hook gives a Close, not a code
  client.onClose((code: number) => code);
  // @ts-expect-error it gives one thing
  client.onClose((close: Close, reason: string) => [close, reason]);
  // @ts-expect-error it gives nothing
  client.onOpen((event: Event) => event);
  // @ts-expect-error numbers
  client.onReconnect((attempt: string) => attempt);
  // @ts-expect-error an error may be anything
  client.onError((error: Error) => error);
  // @ts-expect-error a policy answers at once
  new Client("ws://h", { reconnectPolicy: async () => true });
  // @ts-expect-error a parameter is no object
  new Client("ws://h", { params: () => ({ token: { secret: 1 } }) });
  // @ts-expect-error nor is a URL a number
  new Client(() => 5);
}

export function right(client: Client): void {
  new Client(() => "ws://h", { params: async () => ({ token: "fresh", page: [1, 2] }) });
  new Client(async () => "ws://h", { params: { id: "13" } });
  client.onClose(({ code, reason }) => [code.toFixed(), reason.trim()]);
  client.onError(() => undefined);
  client.onOpen(async () => {});
  expectTypeOf(client.subprotocol).toEqualTypeOf<string | undefined>();
  expectTypeOf(new Refused(4011, "").code).toEqualTypeOf<number>();
  expectTypeOf(new NotConnected().close).toEqualTypeOf<Close | null>();
  expectTypeOf(new EventError("full").code).toEqualTypeOf<string>();
  expectTypeOf(new ConfigError("").code).toEqualTypeOf<string>();
}

export function untyped(client: Client): void {
  client.on("anything", (data) => data.text);
  client.on("anything", (data) => expectTypeOf(data).toBeAny());
  client.send("anything");
  void client.call("anything", [1], { timeout: 1 }).then((answer) => answer.text);
}

test("types", () => expectTypeOf(typed).toBeFunction());
