import { existsSync } from "node:fs";
import { configDefaults, defineConfig } from "vitest/config";
import { CHROMIUM } from "./test/support/chromium.js";

const browser = ["test/browser.test.ts", "test/demo.test.ts"];
const exclude = [...configDefaults.exclude];
if (!existsSync(CHROMIUM)) {
  console.warn(
    `LEFT OUT: ${browser.join(" and ")}, as there is no Chromium at ${CHROMIUM} (CHROMIUM=... names another)`,
  );
  exclude.push(...browser);
}

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    exclude,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    expect: { poll: { timeout: 15_000 } },
    restoreMocks: true,
    maxWorkers: 2,
    minWorkers: 1,
  },
});
