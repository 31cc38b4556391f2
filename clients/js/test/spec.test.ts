/** Replays the golden cases in spec/, as the tests of the Python client do. */
import { readFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { reconnectsUnlessFinal } from "../src/close.js";
import { ConfigError, EventError } from "../src/errors.js";
import { bound, makeRetries } from "../src/retries.js";
import { joinParams, type Params } from "../src/url.js";
import { fakeClient, take } from "./support/fake_socket.js";

function cases<Case>(name: string): Case[] {
  return JSON.parse(readFileSync(new URL(`../../../spec/${name}.json`, import.meta.url), "utf8")) as Case[];
}

interface BackoffCase {
  options: { fastRetries: number; fastInterval: number; maxInterval: number };
  draws: number[];
  bounds: number[];
  delays: number[];
}

test.each(cases<BackoffCase>("backoff"))("backoff $options", ({ options, draws, bounds, delays }) => {
  expect(draws.map((_, index) => bound(options, index + 1))).toEqual(bounds);
  const left = [...draws];
  const retries = makeRetries(options, draws.length, () => left.shift()!);
  expect(draws.map(() => retries._next())).toEqual(delays.map((delay, index) => ({ attempt: index + 1, delay })));
  expect(retries._next()).toBeUndefined();
});

test.each(cases<{ code: number; reconnects: boolean }>("close_codes"))("close code $code", ({ code, reconnects }) => {
  expect(reconnectsUnlessFinal({ code, reason: "" })).toBe(reconnects);
});

test.each(cases<{ url: string; params: Params; joined?: string }>("urls"))("url $url", ({ url, params, joined }) => {
  if (joined === undefined) expect(() => joinParams(url, params)).toThrow(ConfigError);
  else expect(joinParams(url, params)).toBe(joined);
});

type Act = { returns?: unknown; refuses?: [string, string]; fails?: boolean };
type Step = Record<string, any>;

describe("conversations", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  test.each(cases<{ name: string; pingText?: string; handlers?: Record<string, Act>; steps: Step[] }>("conversations"))(
    "$name",
    async ({ pingText, handlers = {}, steps }) => {
      const { client, last } = fakeClient({ pingText });
      const handled: unknown[] = [];
      const pongs: number[] = [];
      const calls: Promise<unknown>[] = [];
      client.onPong((milliseconds) => pongs.push(milliseconds));
      for (const [event, { refuses, fails, returns }] of Object.entries(handlers)) {
        client.on(event, (data) => {
          handled.push([event, data]);
          if (refuses) throw new EventError(...refuses);
          if (fails) throw new Error("as the case says");
          return returns;
        });
      }
      void client.connect();
      last().open();
      const act: Record<string, (value: any) => unknown> = {
        send: ([event, data]) => client.send(event, data),
        call: ([event, data]) => calls.push(client.call(event, data)),
        beat: () => {
          client.pingInterval = 1;
          vi.advanceTimersByTime(1000);
          client.pingInterval = null;
        },
        sent: (text) => expect(last().sent.shift()).toBe(text),
        receive: (text) => {
          expect(last().sent).toEqual([]);
          last().receive(text);
        },
        handled: (message) => expect(handled.shift()).toEqual(message),
        answered: async (value) => expect(await calls.shift()).toEqual(value),
        refused: async ([code, message]) => expect(calls.shift()).rejects.toMatchObject({ code, message }),
        pong: () => expect(take(pongs)).toHaveLength(1),
      };
      for (const step of steps) {
        const [[verb, value]] = Object.entries(step);
        await act[verb](value);
      }
      expect([last().sent, handled, pongs, calls]).toEqual([[], [], [], []]);
    },
  );
});
