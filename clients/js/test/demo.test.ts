/** The page of `make demo`, walked through in a real Chromium: three clients on three nodes, which are killed and come back. */
import axe from "axe-core";
import { mkdirSync } from "node:fs";
import type { Browser, BrowserContextOptions, Locator, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { launch } from "./support/chromium.js";
import { Demo } from "./support/demo.js";

const SCREENSHOTS = process.env.SCREENSHOTS || "test-results";
const DESK = { viewport: { width: 1280, height: 800 }, colorScheme: "light" as const };
const PHONE = { viewport: { width: 390, height: 844 }, colorScheme: "dark" as const, hasTouch: true, isMobile: true };

/** What the page's module of that name has. */
interface View {
  follow(list: Element): void;
  insert(list: Element, item: HTMLElement, at: number, most: number): void;
}

const demo = new Demo();
const errors: string[] = [];
let browser: Browser;
let page: Page;

beforeAll(async () => {
  mkdirSync(SCREENSHOTS, { recursive: true });
  [browser] = await Promise.all([launch(), demo.open()]);
  page = await visit(DESK);
});

afterAll(async () => {
  await browser?.close();
  await demo.close();
});

/** Open the page as a new visitor, and wait until all its clients are connected. */
async function visit(options: BrowserContextOptions): Promise<Page> {
  const opened = await (await browser.newContext(options)).newPage();
  opened.on("pageerror", (error) => errors.push(String(error)));
  await opened.goto(demo.places.get("node-1")!.url);
  await opened.locator(".pane").nth(2).waitFor({ state: "attached" });
  for (const index of [0, 1, 2]) await connected(opened.locator(".pane").nth(index));
  return opened;
}

const pane = (index: number) => page.locator(".pane").nth(index);
const card = (name: string) => page.locator("#cluster li", { hasText: name });
const heard = (where: Locator, text: string) => where.locator(".said", { hasText: text });
const text = (where: Locator) => expect.poll(() => where.textContent());
const connected = (where: Locator) => where.locator(":scope[data-state=on]").waitFor({ state: "attached" });

async function say(index: number, to: string, words: string): Promise<void> {
  await pane(index).getByLabel("To", { exact: true }).selectOption(to);
  await pane(index).getByLabel("Message", { exact: true }).fill(words);
  await pane(index).getByRole("button", { name: "Send" }).click();
}

async function join(index: number, room: string): Promise<void> {
  await pane(index).getByLabel("Another room").fill(room);
  await pane(index).getByLabel("Another room").press("Enter");
  await pane(index)
    .locator(".rooms [aria-pressed=true]", { hasText: `#${room}` })
    .waitFor();
}

test("each client is on another node, and its latency is live", async () => {
  for (const [index, node] of ["node-1", "node-2", "node-3"].entries()) {
    await text(pane(index).locator(".where")).toBe(node);
    await text(pane(index).locator("output")).toMatch(/^\d+(\.\d)?$/);
    await text(card(node).locator(".health")).toBe("up");
    await text(card(node).locator(".detail")).toMatch(/^:\d+ · \d clients?/);
  }
  for (const redis of ["redis-1", "redis-2"]) await text(card(redis).locator(".health")).toBe("healthy");
});

test("a message to everyone tells each client which way it took, and how long", async () => {
  await say(0, "everyone", "Hello to all of you");
  await text(heard(pane(0), "Hello to all of you").locator(".way")).toMatch(/^node-1 in [\d.]+ ms$/);
  await text(heard(pane(1), "Hello to all of you").locator(".way")).toMatch(/^node-1 → node-2 in [\d.]+ ms$/);
  await text(heard(pane(2), "Hello to all of you").locator(".badge")).toBe("everyone");
});

test("a message to a room reaches its members, whom every client sees by node", async () => {
  await join(0, "attic");
  await join(2, "attic");
  await text(pane(0).locator(".reach")).toBe("node-1younode-3Pia");
  await say(2, "#attic", "Only up here");
  await heard(pane(0), "Only up here").waitFor();
  await say(2, "everyone", "After the attic");
  await heard(pane(1), "After the attic").waitFor(); // so what was said before it would be there
  expect(await heard(pane(1), "Only up here").count()).toBe(0);

  await pane(0).locator(".rooms button", { hasText: "#attic" }).click();
  await pane(2).getByLabel("To", { exact: true }).selectOption("#attic");
  await text(pane(2).locator(".reach")).toBe("node-3you");
});

test("a message to one user is between the two", async () => {
  await say(0, "@Milo", "Psst");
  await text(heard(pane(1), "Psst").locator(".badge")).toBe("only you");
  await text(heard(pane(0), "Psst").locator(".badge")).toBe("only Milo");
  await say(0, "everyone", "After the whisper");
  await heard(pane(2), "After the whisper").waitFor();
  expect(await heard(pane(2), "Psst").count()).toBe(0);
});

test("what the server asks is answered with a button, and its result is shown", async () => {
  const answer = pane(0).locator(".poll button:not([aria-disabled=true])").first();
  await answer.focus();
  await answer.press("Enter");
  expect(await page.evaluate(() => document.activeElement?.tagName)).toBe("BUTTON"); // the focus is not lost
  await text(pane(0).locator(".poll .fine", { hasText: "answered" }).last()).toMatch(/^[1-7] answered/);
});

test("the keyboard alone is enough", async () => {
  await pane(1).getByLabel("Name").focus();
  await tabTo(pane(1).locator(".rooms button", { hasText: "#music" }));
  await page.keyboard.press("Space");
  await pane(1).locator(".rooms [aria-pressed=true]", { hasText: "#music" }).waitFor();
  await tabTo(pane(1).getByLabel("To", { exact: true }));
  await page.keyboard.type("Every");
  await tabTo(pane(1).getByLabel("Message", { exact: true }));
  await page.keyboard.type("No mouse was needed");
  await page.keyboard.press("Enter");
  await text(heard(pane(2), "No mouse was needed").locator(".badge")).toBe("everyone");
});

test("the end of what is said stays in view, and the page as high as it is", async () => {
  await atEnd(pane(2));
  for (const open of [true, false]) {
    await pane(2).locator(".wire summary").click();
    expect(await pane(2).locator(".wire").getAttribute("open")).toBe(open ? "" : null);
    await atEnd(pane(2));
    expect(await page.evaluate(() => document.documentElement.scrollHeight)).toBe(DESK.viewport.height);
  }
  await scrollTo(pane(2), 0);
  await say(0, "everyone", "Said while somebody reads what was before");
  await heard(pane(2), "Said while somebody reads what was before").waitFor();
  expect(
    await pane(2)
      .locator(".log")
      .evaluate((log) => log.scrollTop),
  ).toBe(0);
  await scrollTo(pane(2), 1_000_000);
  await say(0, "everyone", "And once more at the end");
  await heard(pane(2), "And once more at the end").waitFor();
  await atEnd(pane(2));
});

/** Scroll what is said, and wait until the page knows. */
async function scrollTo(where: Locator, top: number): Promise<void> {
  await where.locator(".log").evaluate(async (log, wanted) => {
    log.scrollTop = wanted;
    for (let frame = 0; frame < 3; frame++) await new Promise(requestAnimationFrame);
  }, top);
}

async function atEnd(where: Locator): Promise<void> {
  const left = () =>
    where.locator(".log").evaluate((log) => Math.round(log.scrollHeight - log.scrollTop - log.clientHeight));
  await expect.poll(left).toBe(0);
}

test("what comes while its reader scrolls does not undo that, nor does the end of what is kept", async () => {
  const scene = await page.evaluateHandle(listToFollow, await page.evaluateHandle<View>('import("/view.js")'));
  const scrolledTo = (top: number) =>
    scene.evaluate(async ({ box, come, left }, wanted) => {
      box.scrollTop = wanted;
      await come();
      return left();
    }, top);
  for (let count = 0; count < 15; count++) await scene.evaluate(({ come }) => come());
  expect(await scrolledTo(300)).toBe(1100);
  expect(await scrolledTo(1_000_000)).toBe(0);
  for (let count = 0; count < 10; count++) await scene.evaluate(({ come }) => come());
  expect(await scene.evaluate(({ left }) => left())).toBe(0);
  expect(await scrolledTo(1_000_000)).toBe(0);
  expect(await scrolledTo(1000)).toBe(800);
  await scene.evaluate(({ come }) => come());
  expect(await scene.evaluate(({ left }) => left())).toBe(900); // the oldest one is gone, and the same ones are seen
  await scene.evaluate(({ box }) => box.remove());
});

/** A list of items of 100 pixels, of which 20 are kept, in a box of 200. */
function listToFollow({ follow, insert }: View) {
  const box = document.body.appendChild(document.createElement("div"));
  box.style.cssText = "position: fixed; inset: 0 auto auto 0; width: 200px; height: 200px; overflow: auto";
  const list = box.appendChild(document.createElement("ol"));
  follow(list);
  let said = 0;
  return {
    box,
    left: () => box.scrollHeight - box.scrollTop - box.clientHeight,
    come: async () => {
      const item = document.createElement("li");
      item.style.height = "100px";
      insert(list, item, ++said, 20);
      for (let frame = 0; frame < 3; frame++) await new Promise(requestAnimationFrame);
    },
  };
}

test("many rooms of one client leave the others their place", async () => {
  await page.evaluate(
    async (url) => {
      const client = (window.client = new window.Crosswire.Client(url, { params: { name: "Roomy", key: "r" } }));
      await client.connect();
      for (let number = 0; number < 30; number++) await client.call("join", { room: `a room of their own ${number}` });
    },
    demo.places.get("node-2")!.url.replace("http", "ws"),
  );
  for (const index of [0, 1, 2]) {
    const last = pane(index).locator(".rooms button", { hasText: "a room of their own 29" });
    await last.waitFor();
    await last.scrollIntoViewIfNeeded();
    expect(await height(pane(index).locator(".log"))).toBeGreaterThan(200);
    expect(await bottom(pane(index).locator(".wire summary"))).toBeLessThan(DESK.viewport.height);
  }
  await page.evaluate(() => window.client.close());
  for (const index of [0, 1, 2]) await expect.poll(() => pane(index).locator(".rooms li").count()).toBeLessThan(8);
});

const height = async (where: Locator) => (await where.boundingBox())!.height;

async function bottom(where: Locator): Promise<number> {
  const { y, height } = (await where.boundingBox())!;
  return y + height;
}

async function tabTo(target: Locator): Promise<void> {
  const focused = () => target.evaluate((element) => element === document.activeElement);
  for (let presses = 0; presses < 12 && !(await focused()); presses++) await page.keyboard.press("Tab");
  expect(await focused()).toBe(true);
}

test("a client that was away gets what its rooms have said, and the page says so", async () => {
  await pane(1).getByRole("button", { name: "Leave" }).click();
  const missed = ["First while Milo was away", "Second while he was away", "Third while he was away"];
  for (const words of missed) await say(0, "#lobby", words);
  for (const words of missed) await heard(pane(0), words).waitFor();
  await pane(1).getByRole("button", { name: "Connect" }).click();
  await text(recovered(pane(1)).last()).toMatch(/^Back in .*#lobby.*: \d+ messages recovered\.$/);
  const here = () => pane(1).locator(".said .text").allTextContents();
  await expect.poll(async () => (await here()).filter((said) => missed.includes(said))).toEqual(missed);
});

const recovered = (where: Locator) => where.locator(".note", { hasText: /^Back in / });

test("a client of a killed node goes on at another, and returns when its own is back", async () => {
  const receiver = pane(1).getByLabel("To", { exact: true });
  await receiver.selectOption("@Nora");
  const before = await recovered(pane(1)).count();
  process.kill(demo.places.get("node-2")!.pid, "SIGKILL");
  await say(0, "#lobby", "Said at the end of node-2");
  const down = text(card("node-2").locator(".health")).toBe("down"); // it is so for two seconds only: don't miss it
  await text(pane(1).locator(".where")).toBe("node-3");
  await connected(pane(1));
  await text(recovered(pane(1)).nth(before)).toMatch(
    /^Back in .*#lobby.*: (nothing was missed|\d+ messages? recovered)\.$/,
  );
  await heard(pane(1), "Said at the end of node-2").waitFor();
  expect(await receiver.inputValue()).toBe("@Nora"); // else a word for one might go to others
  await say(1, "everyone", "Still here");
  await heard(pane(0), "Still here").waitFor();
  await down;

  await text(card("node-2").locator(".health")).toBe("up");
  await text(pane(1).locator(".where")).toBe("node-2");
  await connected(pane(1));
  await say(1, "#lobby", "And home again");
  await heard(pane(0), "And home again").waitFor();
});

test("a Redis that is killed loses no message, and comes back", async () => {
  await page.getByRole("button", { name: "Kill redis-1" }).click();
  await text(card("redis-1").locator(".health")).toBe("out");
  await say(0, "everyone", "By the other Redis");
  await heard(pane(2), "By the other Redis").waitFor();
  await text(card("redis-1").locator(".health")).toBe("healthy");
});

test("a client leaves, comes back under another name, and is refused one that is taken", async () => {
  await pane(2).getByRole("button", { name: "Leave" }).click();
  await text(pane(2).locator(".alert")).toBe("You have left.");
  await pane(2).getByRole("button", { name: "Connect" }).click();
  await connected(pane(2));
  for (const [name, alert] of [
    ["Ada", "Ada is here already: choose another name."],
    ["Quinn", ""],
  ]) {
    await pane(2).getByLabel("Name").fill(name);
    await pane(2).getByLabel("Name").press("Enter");
    await text(pane(2).locator(".alert")).toBe(alert);
  }
  await connected(pane(2));
  await say(2, "everyone", "It is me");
  await text(heard(pane(0), "It is me").locator("b")).toBe("Quinn");
});

test("a page without any client shows the cluster as unknown, not as dead", async () => {
  for (const index of [0, 1, 2]) await pane(index).getByRole("button", { name: "Leave" }).click();
  for (const name of ["node-1", "redis-1"]) await text(card(name).locator(".health")).toBe("unknown");
  await text(pane(0).locator(".reach")).toBe("Nobody is there");
  for (const index of [0, 1, 2]) await pane(index).getByRole("button", { name: "Connect" }).click();
  for (const name of ["node-1", "redis-1"]) await text(card(name).locator(".health")).toMatch(/^(up|healthy)$/);
  for (const index of [0, 1, 2]) await connected(pane(index));
});

test("each pane says whose it is, and one of them is read aloud", async () => {
  await page.getByRole("region", { name: "Milo on node-2" }).getByLabel("Message", { exact: true }).focus();
  expect(await page.locator(".log[aria-live=polite]").count()).toBe(1);
  await page.getByRole("region", { name: "Milo on node-2" }).locator(".log[aria-live=polite]").waitFor();
});

test("a reload keeps the names", async () => {
  await page.reload();
  for (const [index, name] of ["Nora", "Milo", "Quinn"].entries()) {
    await connected(pane(index));
    expect(await pane(index).getByLabel("Name").inputValue()).toBe(name);
  }
});

test("a screenshot, when all is calm", async () => {
  const beats = () => pane(2).locator("polyline").getAttribute("points");
  await expect.poll(async () => (await beats())?.split(" ").length).toBeGreaterThan(5);
  await say(0, "everyone", "Hello from node-1! Does everybody hear me?");
  await say(1, "#lobby", "On node-2, yes.");
  await heard(pane(2), "On node-2, yes.").waitFor();
  for (const index of [0, 1, 2]) await atEnd(pane(index));
  await page.screenshot({ path: `${SCREENSHOTS}/demo.png` });
});

describe("on a phone, in the dark", () => {
  let phone: Page;

  beforeAll(async () => {
    phone = await visit(PHONE);
  });

  test("one client is shown at a time, and nothing is wider than the screen", async () => {
    const shown = phone.locator(".pane:visible");
    expect(await shown.count()).toBe(1);
    await phone.locator("#tabs button").nth(2).tap();
    await text(shown.locator(".where")).toBe("node-3");
    await shown.getByLabel("Message", { exact: true }).fill("From a phone");
    await shown.getByRole("button", { name: "Send" }).tap();
    await heard(pane(0), "From a phone").waitFor();
    for (const client of [0, 2]) {
      await phone.locator("#tabs button").nth(client).tap();
      await atEnd(shown);
    }
    expect(await phone.evaluate(() => document.documentElement.scrollWidth)).toBe(PHONE.viewport.width);
    await phone.screenshot({ path: `${SCREENSHOTS}/demo-phone.png` });
  });

  test("it is dark, and as easy to read", async () => {
    expect(await phone.evaluate(() => getComputedStyle(document.body).backgroundColor)).toBe("rgb(17, 19, 27)");
    expect(await accessibilityFaults(phone)).toEqual([]);
  });
});

test("the page keeps the rules of accessibility", async () => {
  expect(await accessibilityFaults(page)).toEqual([]);
});

test("nothing went wrong on the page meanwhile", () => {
  expect(errors).toEqual([]);
});

async function accessibilityFaults(where: Page): Promise<string[]> {
  await where.evaluate(axe.source);
  const { violations } = await where.evaluate(() => (globalThis as unknown as { axe: typeof axe }).axe.run());
  return violations.map(({ id, nodes: [{ html, failureSummary }] }) => `${id}: ${html} ${failureSummary}`);
}
