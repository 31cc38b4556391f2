/** What the build made: small enough, nothing that browsers of ES2019 can't read, and in the demo too. */
import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { transformSync } from "esbuild";
import { expect, test } from "vitest";

const read = (path: string) => readFileSync(new URL(`../${path}`, import.meta.url), "utf8");

test.each([
  ["crosswire.min.js", 4096],
  ["msgpack.min.js", 2048],
])("%s, minified and gzipped, has at most %i bytes", (file, limit) => {
  expect(gzipSync(read(`dist/${file}`), { level: 9 }).length).toBeLessThanOrEqual(limit);
});

test.each(["crosswire.min.js", "msgpack.min.js", "esm/index.js", "esm/msgpack.js", "cjs/index.js", "cjs/msgpack.js"])(
  "%s is ES2019: there is nothing in it to translate",
  (file) => {
    const code = read(`dist/${file}`);
    if (file.endsWith(".min.js")) expect(code).not.toContain("globalThis");
    expect(transformSync(code, { target: "es2019" }).code).toBe(transformSync(code, { target: "esnext" }).code);
  },
);

test("the page of the demo has the script as it is built", () => {
  expect(read("../../examples/demo/page/crosswire.min.js"), "another one: npm run demo").toBe(
    read("dist/crosswire.min.js"),
  );
});
