/** What the build made: small enough, and nothing that browsers of ES2019 can't read. */
import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { transformSync } from "esbuild";
import { expect, test } from "vitest";

const built = (file: string) => readFileSync(new URL(`../dist/${file}`, import.meta.url));

test.each([
  ["crosswire.min.js", 4096],
  ["msgpack.min.js", 2048],
])("%s, minified and gzipped, has at most %i bytes", (file, limit) => {
  expect(gzipSync(built(file), { level: 9 }).length).toBeLessThanOrEqual(limit);
});

test.each(["crosswire.min.js", "msgpack.min.js", "esm/index.js", "esm/msgpack.js", "cjs/index.js", "cjs/msgpack.js"])(
  "%s is ES2019: there is nothing in it to translate",
  (file) => {
    const code = built(file).toString();
    if (file.endsWith(".min.js")) expect(code).not.toContain("globalThis");
    expect(transformSync(code, { target: "es2019" }).code).toBe(transformSync(code, { target: "esnext" }).code);
  },
);
