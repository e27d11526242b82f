// Drives the console in Chromium as its readers do, and fails on anything that they should not meet:
// errors in the browser, a request to another host, a finding of axe-core, a view that says nothing.
//
// CONSOLE: the address of the console; POLICIES: the folder that it serves, with the stores hitkeep and
// shop; CHROMIUM: the browser; SCREENSHOTS: a folder for pictures, if any are wanted.
import assert from "node:assert/strict";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { chromium } from "playwright-core";

const { CONSOLE, POLICIES, CHROMIUM, SCREENSHOTS } = process.env;
const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const host = new URL(CONSOLE).host;
const problems = [];

const browser = await chromium.launch({
  executablePath: CHROMIUM,
  args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run", "--disable-quic"],
});

async function open(width, options = {}) {
  const height = width < 600 ? 844 : 860;
  const context = await browser.newContext({ viewport: { width, height }, baseURL: CONSOLE, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  page.on("console", (message) => {
    // A page that is not there is asked for on purpose.
    if (message.type() === "error" && !message.text().includes("404")) {
      problems.push(`${page.url()}: ${message.text()}`);
    }
  });
  page.on("pageerror", (error) => problems.push(`${page.url()}: ${error}`));
  page.on("request", (request) => {
    const url = new URL(request.url());
    if (url.protocol !== "data:" && url.host !== host) problems.push(`asked ${url} for something`);
  });
  return page;
}

async function picture(page, name, options = {}) {
  if (!SCREENSHOTS) return;
  await mkdir(SCREENSHOTS, { recursive: true });
  await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`), ...options });
}

async function inspect(page, name) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
  for (const { id, impact, nodes } of violations.filter(({ impact }) => impact !== "minor")) {
    problems.push(`${name}: axe ${impact} ${id}: ${nodes.slice(0, 3).map(({ html }) => html.slice(0, 160)).join(" | ")}`);
  }
  const overflow = await page.evaluate(() =>
    document.documentElement.scrollWidth - document.documentElement.clientWidth);
  if (overflow > 0) problems.push(`${name}: the page is ${overflow} px too wide`);
}

/** Loads a page again until it shows a text. */
async function shows(page, path, text) {
  const end = Date.now() + 60_000;
  for (;;) {
    // A page that asks again by itself may get in the way.
    await page.goto(path).catch(() => {});
    if ((await page.locator("main").innerText()).includes(text)) return;
    assert.ok(Date.now() < end, `${path} does not show: ${text}`);
    await page.waitForTimeout(200);
  }
}

/** Replaces a file in one step. */
async function write(file, text) {
  const aside = join(POLICIES, ".aside");
  await writeFile(aside, text);
  await rename(aside, join(POLICIES, file));
}

const views = {
  stores: "/",
  matrix: "/matrix?store=hitkeep",
  policies: "/policies?store=hitkeep",
  "policy-text": "/policies?store=hitkeep&policy=delegate-instance-role#policy",
  try: "/try?store=hitkeep",
  changes: "/changes?store=hitkeep",
  decisions: "/decisions",
  health: "/health",
  "not-found": "/matrix?store=none",
};

const wide = await open(1280);
// A matrix is computed once; the first reader waits for it.
await shows(wide, views.matrix, "site.view");
await shows(wide, views.policies, "applies in");

console.log("views at both widths, in light and dark");
for (const [width, size] of [[1280, "wide"], [390, "narrow"]]) {
  for (const colorScheme of ["light", "dark"]) {
    const page = await open(width, { colorScheme });
    for (const [name, path] of Object.entries(views)) {
      await page.goto(path);
      assert.ok((await page.locator("h1").first().innerText()).length > 0, path);
      await inspect(page, `${name} ${size} ${colorScheme}`);
      await picture(page, `${name}-${size}-${colorScheme}`);
    }
    await page.context().close();
  }
}

console.log("a cell opens by keyboard, and leads to its policy");
await wide.goto(views.matrix);
await wide.keyboard.press("Tab");
assert.equal(await wide.evaluate(() => document.activeElement.className), "skip");
const cell = wide.locator("td.if button").first();
await cell.focus();
await wide.keyboard.press("Enter");
const note = wide.locator(".note:popover-open");
await note.waitFor();
await inspect(wide, "an open cell");
await picture(wide, "cell-wide-light");
await wide.keyboard.press("Escape");
await note.waitFor({ state: "hidden" });
await cell.click();
await note.locator("a").first().click();
await wide.locator("#policy").waitFor();

console.log("a filter works while typing, and without a script");
await wide.goto(views.matrix);
await wide.getByRole("searchbox", { name: "Action" }).fill("share");
assert.ok(await wide.locator("tbody tr:visible").count() < 30);
const bare = await open(1280, { javaScriptEnabled: false });
await bare.goto(views.matrix);
await bare.getByRole("searchbox", { name: "Action" }).fill("share");
await bare.getByRole("button", { name: "Filter" }).click();
const rows = await bare.locator("tbody tr:not(.scope)").count();
assert.ok(rows > 0 && rows < 30, `${rows} rows`);
await bare.goto("/try?store=shop");
await bare.locator("[name=principal_id]").fill("alice");
await bare.locator("[name=action]").selectOption("order.refund");
await bare.getByRole("button", { name: "Fields of this action" }).click();
await bare.locator("[name='c.amount']").waitFor();
await bare.context().close();

console.log("a question is decided and explained");
await wide.goto("/try?store=shop");
await wide.locator("[name=action]").selectOption("order.refund");
await wide.locator("[name='c.amount']").waitFor();
await wide.locator("[name=principal_id]").fill("alice");
await wide.locator("[name=resource_id]").fill("42");
await wide.getByLabel("clerk").check();
await wide.locator("[name='c.amount']").fill("500");
await wide.getByRole("button", { name: "Decide" }).click();
await wide.getByRole("heading", { name: "Deny" }).waitFor();
assert.match(await wide.locator(".answer").innerText(), /context\.amount <= 100/);
await inspect(wide, "a deny");
await picture(wide, "deny-wide-light", { fullPage: true });
await wide.locator("[name='c.amount']").fill("50");
await wide.getByRole("button", { name: "Decide" }).click();
await wide.getByRole("heading", { name: "Allow" }).waitFor();
assert.match(await wide.locator(".answer").innerText(), /humbaba check --store shop/);
await inspect(wide, "an allow");
await picture(wide, "allow-wide-light", { fullPage: true });
const narrow = await open(390, { colorScheme: "dark" });
await narrow.goto(wide.url());
await inspect(narrow, "an allow on a phone");
await picture(narrow, "allow-narrow-dark", { fullPage: true });

console.log("a broken file is shown and a mended one is not");
const file = "shop/orders.cedar";
const whole = await readFile(join(POLICIES, file), "utf8");
await write(file, whole.replace("resource.clerk", "resource.clrek"));
await shows(wide, "/", "shop was refused");
assert.match(await wide.locator("main").innerText(), /orders\.cedar:\d+:\d+/);
await inspect(wide, "a refused store");
await picture(wide, "refused-wide-light", { fullPage: true });
await narrow.goto("/");
await inspect(narrow, "a refused store on a phone");
await picture(narrow, "refused-narrow-dark", { fullPage: true });
await wide.getByRole("link", { name: "See the refused files" }).click();
await wide.locator(".mark.bad").first().waitFor();
await inspect(wide, "a refused file");
await picture(wide, "refused-file-wide-light");

console.log("a gain is shown");
await write(file, whole.replace("context.amount <= 100", "context.amount <= 1000"));
await shows(wide, "/changes?store=shop", "gains");
assert.ok(!(await (await wide.request.get("/")).text()).includes("was refused"));
await inspect(wide, "a gain");
await wide.locator("summary").first().click();
await picture(wide, "gain-wide-light");
await narrow.goto("/changes?store=shop");
await inspect(narrow, "a gain on a phone");
await picture(narrow, "gain-narrow-dark");

console.log("decisions appear by themselves");
await wide.goto("/decisions");
await wide.getByText("New decisions appear by themselves.").waitFor();
const first = await wide.locator("#decisions tr").first().getAttribute("title");
await wide.waitForFunction((first) =>
  document.querySelector("#decisions tr").title !== first, first);
await wide.getByRole("button", { name: "Pause" }).click();
await inspect(wide, "the tail");
await picture(wide, "tail-wide-light");
await wide.goto("/decisions?decision=deny");
assert.equal(await wide.locator("#decisions b.allow").count(), 0);

console.log("charts");
await wide.waitForFunction(async () =>
  (await (await fetch("/health")).text()).includes("The same as numbers"), null, { timeout: 60_000, polling: 1000 });
await wide.goto("/health");
assert.ok(await wide.locator("path.line.allow[d^=M]").count() > 0);
await inspect(wide, "charts");
await picture(wide, "charts-wide-light", { fullPage: true });

console.log("the matrix on paper");
await wide.goto(views.matrix);
await wide.emulateMedia({ media: "print" });
assert.ok(await wide.locator(".note").first().isVisible(), "conditions are printed");
assert.ok(!(await wide.locator(".top").isVisible()));
await picture(wide, "matrix-print");

await browser.close();
assert.deepEqual(problems, []);
console.log("all views are as they should be");
