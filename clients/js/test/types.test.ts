/** What the compiler must accept and refuse; `npm run check` looks, and nothing here runs. */
import { expectTypeOf, test } from "vitest";
import { Client } from "../src/index.js";

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

export function untyped(client: Client): void {
  client.on("anything", (data) => data.text);
  client.on("anything", (data) => expectTypeOf(data).toBeAny());
  client.send("anything");
  void client.call("anything", [1], { timeout: 1 }).then((answer) => answer.text);
}

test("types", () => expectTypeOf(typed).toBeFunction());
