// Builds dist/: ESM and CommonJS with declarations for both, and a script that makes the global Crosswire.
import { build } from "esbuild";
import { execFileSync } from "node:child_process";
import { cpSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { minify } from "terser";

const common = { bundle: true, target: "es2019", logLevel: "warning" };
const entries = { index: "src/index.ts", msgpack: "src/msgpack.ts" };

rmSync("dist", { recursive: true, force: true });
await build({ ...common, entryPoints: entries, format: "esm", outdir: "dist/esm" });
await build({ ...common, entryPoints: entries, format: "cjs", outdir: "dist/cjs" });
// Names that begin with an underscore are nobody's business outside; esbuild gives them short ones, terser the rest.
const tsconfigRaw = { compilerOptions: { useDefineForClassFields: false } }; // and no "use strict"
const define = { globalThis: "self" }; // browsers of ES2019 don't know the name
const dropLabels = ["FULL"]; // what only Node.js knows or lacks, and what the modules say besides
const script = { ...common, format: "iife", minify: true, mangleProps: /^_/, tsconfigRaw, define, dropLabels };
await build({ ...script, entryPoints: ["src/global.ts"], outfile: "dist/crosswire.min.js" });
await build({ ...script, entryPoints: ["src/msgpack.global.ts"], outfile: "dist/msgpack.min.js" });
for (const file of ["dist/crosswire.min.js", "dist/msgpack.min.js"]) {
  const allowed = { pure_getters: true, unsafe_comps: true };
  const left = { booleans: false, sequences: false, keep_fargs: false }; // shorter, but not when compressed
  const options = { ecma: 2019, compress: { passes: 5, ...allowed, ...left } };
  writeFileSync(file, (await minify(readFileSync(file, "utf8"), options)).code);
}

// The root says "type": "module"; each kind of declarations lies beside its own kind of code.
execFileSync("node_modules/.bin/tsc", ["--declaration", "--emitDeclarationOnly", "--outDir", "dist/esm"]);
cpSync("dist/esm", "dist/cjs", { recursive: true, filter: (path) => !path.endsWith(".js") });
writeFileSync("dist/cjs/package.json", '{ "type": "commonjs" }\n');
