// Looks at every page as people do: both languages, an office screen and a phone, light and dark, with and without
// script. A fault is a console error, a request to elsewhere, anything wider than the screen, a page heavier than its
// limit, or what axe finds. Screenshots go into a folder; PICTURES, if given, gets those the README shows.
//
//   node pages.mjs BASE FOLDER USER PASSWORD SITE [PICTURES]
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import puppeteer from "puppeteer-core";

const [base, folder, user, password, siteCode, pictures] = process.argv.slice(2);
if (!siteCode) {
  console.error("usage: node pages.mjs BASE FOLDER USER PASSWORD SITE [PICTURES]");
  process.exit(2);
}
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
mkdirSync(folder, { recursive: true });

// A page over a phone on a bad line: its HTML, and what comes with it over the wire the first time, typeface and pictures
// apart.
const HEAVIEST_HTML = 60 * 1024;
const HEAVIEST_TRANSFER = 60 * 1024;

// The site whose past is known, in the form it has everywhere: the API names the rest.
const api = async (path) => (await fetch(`${base}/api/v1/${path}`)).json();
const first = async (path) => (await api(path)).items[0];
const [county, down, incident] = await Promise.all([
  first("regions?kind=county&limit=1"),
  first("sites?state=down&limit=1"),
  first("incidents?limit=1"),
]);
const district = await first("regions?kind=rural_district&limit=1");
const everybody = {
  home: "/",
  wall: "/?wall=1",
  county: `/regions/${county.code}`,
  district: `/regions/${district.code}`,
  sites: "/sites",
  found: `/sites?q=${encodeURIComponent("علي اباد")}`,
  nothing: "/sites?q=nosuchplace",
  site: `/sites/${siteCode}`,
  month: `/sites/${siteCode}?range=30d`,
  year: `/sites/${siteCode}?range=365d`,
  down: `/sites/${down.code}`,
  incidents: "/incidents",
  incident: `/incidents/${incident.id}`,
  kpis: "/kpis",
  kpi: "/kpis/availability",
  services: "/services",
  agents: "/agents",
  login: "/login",
  status: "/status",
  missing: "/no-such-page",
};
const signedIn = { admin: "/admin", import: "/admin/import", work: `/incidents/${incident.id}` };
const sizes = [
  { width: 1366, height: 768 },
  { width: 360, height: 740 },
];
// All sixteen looks. axe judges everything in half of them, chosen so that any three of language, size, theme and script
// meet in every combination, and the colours alone in the others: nothing else differs there that was not judged.
const looks = [];
for (const [l, lang] of ["fa", "en"].entries())
  for (const [s, size] of sizes.entries())
    for (const [t, theme] of ["light", "dark"].entries())
      for (const script of [true, false]) looks.push({ lang, theme, script, whole: (l + s + t) % 2 === (script ? 0 : 1), ...size });

const browser = await puppeteer.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--force-color-profile=srgb"],
});
let faults = 0;
let seen = 0;
const fault = (where, what) => {
  faults += 1;
  console.log(`${where}: ${what}`);
};

// Signs in over plain HTTP, as the form does.
const form = await fetch(`${base}/login`);
const door = form.headers.getSetCookie()[0].split(";")[0];
const login = await fetch(`${base}/login`, {
  method: "POST",
  redirect: "manual",
  headers: { cookie: door },
  body: new URLSearchParams({ csrf: door.split("=")[1], name: user, password }),
});
const session = login.headers.getSetCookie().find((cookie) => cookie.startsWith("rusta_session="));
if (!session) throw new Error(`nobody is signed in: ${login.status}`);
const [cookieName, cookieValue] = session.split(";")[0].split("=");

async function look(name, path, asUser, { lang, theme, script, whole, width, height }) {
  const where = `${name} ${lang} ${theme} ${width}${script ? "" : " without script"}`;
  const context = await browser.createBrowserContext();
  const page = await context.newPage();
  try {
    if (asUser) await context.setCookie({ name: cookieName, value: cookieValue, domain: "127.0.0.1", path: "/" });
    await page.setJavaScriptEnabled(script);
    await page.setViewport({ width, height });
    // A busy machine is slow; that is no fault of a page.
    page.setDefaultTimeout(180_000);
    const expected = name === "missing" ? 404 : 200;
    page.on("console", (line) => {
      if (line.type() === "error" && !(expected === 404 && line.text().includes("404"))) fault(where, `console: ${line.text()}`);
    });
    page.on("pageerror", (error) => fault(where, `script: ${error}`));
    page.on("request", (request) => !request.url().startsWith(`${base}/`) && fault(where, `loads ${request.url()}`));
    let transfer = 0;
    page.on("response", (answer) => {
      const kind = answer.request().resourceType();
      if (["document", "stylesheet", "script"].includes(kind)) transfer += Number(answer.headers()["content-length"] ?? 0);
    });
    const join = path.includes("?") ? "&" : "?";
    const answer = await page.goto(`${base}${path}${join}lang=${lang}&theme=${theme}`, { waitUntil: "load" });
    if (answer.status() !== expected) fault(where, `answers ${answer.status()}`);
    const html = (await answer.buffer()).length;
    if (html > HEAVIEST_HTML) fault(where, `has ${html} bytes of HTML`);
    if (transfer > HEAVIEST_TRANSFER) fault(where, `moves ${transfer} bytes`);
    await page.setJavaScriptEnabled(true);
    await page.evaluate("document.fonts.ready.then(() => true)");
    const wide = await page.evaluate(() => {
      const root = document.documentElement;
      if (root.scrollWidth <= root.clientWidth) return "";
      const beyond = (e) => {
        const box = e.getBoundingClientRect();
        return box.left < -1 || box.right > root.clientWidth + 1;
      };
      const culprit = [...document.querySelectorAll("main *")].find(beyond);
      return `scrolls ${root.scrollWidth - root.clientWidth} pixels sideways: ${culprit?.outerHTML.slice(0, 90) ?? ""}`;
    });
    if (wide) fault(where, wide);
    await page.screenshot({
      path: `${folder}/${name}-${lang}-${theme}-${width}${script ? "" : "-plain"}.png`,
      // A wall screen has no more than its screen.
      fullPage: name !== "wall",
    });
    // Over the debugging protocol: the page's own policy runs no script but ours.
    // Nobody reads a wall screen from the top: without script it may renew itself under its viewers.
    const rules = name === "wall" ? { "meta-refresh": { enabled: false } } : {};
    const judged = whole ? { rules } : { runOnly: ["color-contrast"] };
    const found = await page.evaluate(`${axe}; axe.run(document, ${JSON.stringify({ resultTypes: ["violations"], ...judged })})`);
    for (const violation of found.violations) {
      const nodes = violation.nodes.slice(0, 3).map((node) => node.html.slice(0, 160)).join(" | ");
      fault(where, `axe ${violation.id} (${violation.nodes.length}): ${nodes}`);
    }
    seen += 1;
  } finally {
    await context.close();
  }
}

// What the README shows: the office screen, in Persian and light, as tall as a screen is.
async function picture(name, path) {
  const page = await browser.newPage();
  await page.setViewport({ width: 1366, height: 860 });
  await page.goto(`${base}${path}${path.includes("?") ? "&" : "?"}lang=fa&theme=light`, { waitUntil: "networkidle0" });
  await page.evaluate("document.fonts.ready.then(() => true)");
  await page.screenshot({ path: `${pictures}/${name}.png` });
  await page.close();
}

const only = process.env.RUSTA_PAGES?.split(",");
const jobs = [];
for (const [asUser, pages] of [[false, everybody], [true, signedIn]])
  for (const [name, path] of Object.entries(pages))
    if (!only || only.includes(name)) for (const one of looks) jobs.push([name, path, asUser, one]);
const worker = async () => {
  for (let job = jobs.shift(); job; job = jobs.shift()) await look(...job);
};
await Promise.all([worker(), worker(), worker()]);
if (pictures) {
  await picture("province", "/");
  await picture("site", `/sites/${siteCode}`);
}
await browser.close();
console.log(`${seen} looks, ${faults} faults`);
process.exit(faults || seen === 0 ? 1 : 0);
