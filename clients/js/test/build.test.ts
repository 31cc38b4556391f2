/** What the build made: small enough, nothing that browsers of ES2019 can't read, found by tools, and in the demo too. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { transformSync } from "esbuild";
import ts from "typescript";
import { expect, onTestFinished, test } from "vitest";

/** A directory of a project that has the package. */
const installed = () => {
  const project = mkdtempSync(`${tmpdir()}/crosswire-`);
  onTestFinished(() => rmSync(project, { recursive: true }));
  mkdirSync(`${project}/node_modules`);
  symlinkSync(fileURLToPath(new URL("..", import.meta.url)), `${project}/node_modules/crosswire-client`);
  return project;
};
const read = (path: string) => readFileSync(new URL(`../${path}`, import.meta.url), "utf8");

test.each([
  ["crosswire.min.js", 4999],
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

test.each([
  ["crosswire-client", "index.d.ts"],
  ["crosswire-client/msgpack", "msgpack.d.ts"],
])("TypeScript finds %s in every way that it looks for modules", (name, file) => {
  const { ModuleResolutionKind } = ts;
  const main = `${installed()}/main.ts`;
  for (const moduleResolution of [
    ModuleResolutionKind.Node10,
    ModuleResolutionKind.Node16,
    ModuleResolutionKind.Bundler,
  ]) {
    const { resolvedModule } = ts.resolveModuleName(name, main, { moduleResolution }, ts.sys);
    expect(resolvedModule?.resolvedFileName).toMatch(new RegExp(`/dist/(esm|cjs)/${file}$`));
  }
});

test("the package's description can be read, as tools do", () => {
  expect(createRequire(`${installed()}/main.js`)("crosswire-client/package.json")).toMatchObject({ license: "MIT" });
});

test("the page of the demo has the script as it is built", () => {
  expect(read("../../examples/demo/page/crosswire.min.js"), "another one: npm run demo").toBe(
    read("dist/crosswire.min.js"),
  );
});
