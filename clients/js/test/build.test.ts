import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";

test.each([
  ["crosswire.min.js", 4096],
  ["msgpack.min.js", 2048],
])("%s, minified and gzipped, has at most %i bytes", (file, limit) => {
  const script = readFileSync(new URL(`../dist/${file}`, import.meta.url));
  expect(gzipSync(script, { level: 9 }).length).toBeLessThanOrEqual(limit);
});

test("the page of the demo has the script as it is built", () => {
  const [built, copy] = ["../dist/", "../../../examples/demo/page/"].map((folder) =>
    readFileSync(new URL(`${folder}crosswire.min.js`, import.meta.url), "utf8"),
  );
  expect(copy, "another one: npm run demo").toBe(built);
});
