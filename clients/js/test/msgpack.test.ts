import { execFileSync } from "node:child_process";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { msgpack } from "../src/msgpack.js";
import { fakeClient } from "./support/fake_socket.js";
import { PYTHON } from "./support/server.js";

const hex = (bytes: unknown) => Buffer.from(bytes as Uint8Array).toString("hex");
const sizes = [0, 1, 15, 16, 31, 32, 255, 256, 65535, 65536];

/** Values that JSON has too: Python's encoder makes the expected bytes of the same JSON. */
const VALUES: unknown[] = [
  null,
  true,
  false,
  ...[0, 1, 127, 128, 255, 256, 65535, 65536, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1],
  ...[-1, -32, -33, -128, -129, -32768, -32769, -(2 ** 31), -(2 ** 31) - 1, -(2 ** 53) + 1],
  ...[0.5, -2.25, 1e-9, Math.PI],
  ...sizes.map((size) => "x".repeat(size)),
  "größer 漢 🎉",
  ...sizes.map((size) => Array(size).fill(1)),
  ...[0, 15, 16, 70000].map((size) =>
    Object.fromEntries(Array.from({ length: size }, (_, index) => [`k${index}`, index])),
  ),
  { event: "say", payload: { deep: [{ a: [] }, {}] }, callbackId: "1" },
];

test("encodes to the byte as the server's MessagePack does, and decodes it again", () => {
  const program =
    "import sys, msgspec; [print(msgspec.msgpack.encode(v).hex()) for v in msgspec.json.decode(sys.stdin.buffer.read())]";
  const output = execFileSync(PYTHON, ["-c", program], {
    input: JSON.stringify(VALUES),
    encoding: "utf8",
    maxBuffer: 2 ** 26,
  });
  const expected = output.trim().split("\n");
  expect(VALUES.map((value) => hex(msgpack.encode(value)))).toEqual(expected);
  expect(expected.map((each) => msgpack.decode(Buffer.from(each, "hex")))).toEqual(VALUES);
});

test.each([
  [new Uint8Array([0, 255]), "c40200ff"],
  [new Date(1000), "d6ff00000001"],
  [new Date(1500), "d7ff7735940000000001"],
  [new Date(-1), "c70cff3b8b87c0ffffffffffffffff"],
  [2n ** 63n, "cf8000000000000000"],
  [-(2n ** 63n), "d38000000000000000"],
])("%o travels as it is", (value, bytes) => {
  expect(hex(msgpack.encode(value))).toBe(bytes);
  expect(msgpack.decode(Buffer.from(bytes, "hex"))).toEqual(value);
});

test("what JSON does with toJSON, undefined and Map", () => {
  const value = {
    a: undefined,
    b: { toJSON: () => 1 },
    c: new Map([["d", [undefined]]]),
    e: new Uint8Array([1]).buffer,
  };
  expect(msgpack.decode(msgpack.encode(value))).toEqual({ b: 1, c: { d: [null] }, e: new Uint8Array([1]) });
});

test("a hole of an array travels as null, as JSON has it", () => {
  expect(msgpack.decode(msgpack.encode([[1, , 3], Array(20)]))).toEqual([[1, null, 3], Array(20).fill(null)]);
});

test("without 64-bit integers, as in browsers of ES2019, large ones are numbers", () => {
  vi.stubGlobal("BigInt", undefined);
  for (const name of ["getBigInt64", "getBigUint64"] as const) {
    vi.spyOn(DataView.prototype, name).mockImplementation(() => {
      throw new TypeError("there is none");
    });
  }
  try {
    const values = [2 ** 32, 2 ** 53 - 1, -(2 ** 31) - 1, -(2 ** 53) + 1, new Date(-1), new Date(1e13)];
    expect(msgpack.decode(msgpack.encode(values))).toEqual(values);
    expect(msgpack.decode(Buffer.from("cf8000000000000000", "hex"))).toBe(2 ** 63);
    expect(msgpack.decode(Buffer.from("d38000000000000000", "hex"))).toBe(-(2 ** 63));
  } finally {
    vi.unstubAllGlobals();
  }
});

test("integers at the edges of what a number and of what 64 bits hold", () => {
  const edges = [2n ** 53n, 2n ** 64n - 1n, -(2n ** 53n), -(2n ** 63n), 2n ** 63n - 1n, -(2n ** 60n) - 1n];
  expect(msgpack.decode(msgpack.encode(edges))).toEqual(edges);
});

test.each([() => 0, Symbol("x"), new Date(NaN), 2n ** 64n])("%o can't be encoded", (value) => {
  expect(() => msgpack.encode(value)).toThrow();
});

test.each(["", "c1", "92", "a2ff", "a1ff", "c0c0", "d9", "dd7fffffff", "cf00", "c703ff000000"])(
  "%s is no message",
  (bytes) => {
    expect(() => msgpack.decode(Buffer.from(bytes, "hex"))).toThrow();
  },
);

test("a key __proto__ is a key", () => {
  const value = msgpack.decode(msgpack.encode(new Map([["__proto__", { evil: 1 }]]))) as Record<string, unknown>;
  expect([Object.keys(value), value.evil]).toEqual([["__proto__"], undefined]);
});

const ready = msgpack.encode({ event: "$ready" }) as Uint8Array;

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test("MessagePack is used if the server agrees, for queued messages too; else JSON", () => {
  const { client, last } = fakeClient({ codec: msgpack, queueLimit: 1, subprotocols: ["mine"], fastInterval: 0 });
  client.send("x", new Uint8Array([7]));
  void client.connect();
  expect(last().protocols).toEqual(["crosswire.msgpack", "mine"]);
  last().open("crosswire.msgpack");
  expect(client.subprotocol).toBe("crosswire.msgpack");
  last().receive(ready.slice().buffer);
  expect(msgpack.decode(last().sent[0] as Uint8Array)).toEqual({ event: "x", payload: new Uint8Array([7]) });
  const seen: unknown[] = [];
  client.on("y", (data) => seen.push(data));
  const bytes = msgpack.encode({ event: "y", payload: 5 }) as Uint8Array;
  last().receive(bytes.slice().buffer);
  client.reconnect();
  last().open("mine");
  expect(client.subprotocol).toBe("mine");
  last().ready();
  client.send("x", 1);
  last().receive('{"event":"y","payload":6}');
  expect([last().sent, seen]).toEqual([['{"event":"x","payload":1}'], [5, 6]]);
});

test("a queued message that can't be encoded is reported, and the others are sent", () => {
  const { client, last, events } = fakeClient({ codec: msgpack, queueLimit: 2 });
  client.send("x", 2n ** 60n);
  client.send("x", 1);
  void client.connect();
  last().open();
  last().ready();
  expect(last().sent).toEqual(['{"event":"x","payload":1}']);
  expect(events).toEqual(["open", ["error", expect.stringContaining("INVALID_PAYLOAD")]]);
});
