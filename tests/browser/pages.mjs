// Looks at every page of a running collector with Debian's chromium.
//
//   node pages.mjs BASE FOLDER          BASE such as http://127.0.0.1:8080, FOLDER for the screenshots
//
// Each page in both languages, at the office's and the phone's size, light and dark, with and without script: no console
// error, no request to another origin, no sideways scrolling, nothing axe-core objects to. Prints one line per fault and
// exits 1 if there is any.
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import puppeteer from "puppeteer-core";

const [base, folder] = process.argv.slice(2);
if (!base || !folder) {
  console.error("usage: node pages.mjs BASE FOLDER");
  process.exit(2);
}
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
mkdirSync(folder, { recursive: true });

const api = async (path) => (await fetch(`${base}/api/v1/${path}`)).json();
const first = async (path) => (await api(path)).items[0];
const county = await first("regions?kind=county&limit=1");
const site = (await first("sites?state=down&limit=1")) ?? (await first("sites?limit=1"));
const pages = {
  home: "/",
  wall: "/?wall=1",
  county: `/regions/${county.code}`,
  sites: "/sites",
  site: `/sites/${site.code}`,
  incidents: "/incidents?all=1",
  kpis: "/kpis",
  services: "/services",
  agents: "/agents",
  login: "/login",
};
const looks = [
  { lang: "fa", theme: "light", width: 1366, height: 768, script: true },
  { lang: "en", theme: "light", width: 1366, height: 768, script: true },
  { lang: "fa", theme: "dark", width: 1366, height: 768, script: true },
  { lang: "fa", theme: "light", width: 360, height: 740, script: true },
  { lang: "en", theme: "dark", width: 360, height: 740, script: true },
  { lang: "fa", theme: "light", width: 360, height: 740, script: false },
];

const browser = await puppeteer.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
});
let faults = 0;
const fault = (where, what) => {
  faults += 1;
  console.log(`${where}: ${what}`);
};

for (const [name, path] of Object.entries(pages)) {
  for (const look of looks) {
    const where = `${name} ${look.lang} ${look.theme} ${look.width}${look.script ? "" : " without script"}`;
    const page = await browser.newPage();
    await page.setJavaScriptEnabled(look.script);
    await page.setViewport({ width: look.width, height: look.height });
    page.on("console", (line) => line.type() === "error" && fault(where, `console: ${line.text()}`));
    page.on("pageerror", (error) => fault(where, `script: ${error}`));
    page.on("request", (request) => !request.url().startsWith(`${base}/`) && fault(where, `loads ${request.url()}`));
    const join = path.includes("?") ? "&" : "?";
    const answer = await page.goto(`${base}${path}${join}lang=${look.lang}&theme=${look.theme}`, { waitUntil: "networkidle0" });
    if (answer.status() !== 200) fault(where, `answers ${answer.status()}`);
    await page.setJavaScriptEnabled(true);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    if (wide > 0) fault(where, `scrolls ${wide} pixels sideways`);
    await page.screenshot({ path: `${folder}/${name}-${look.lang}-${look.theme}-${look.width}${look.script ? "" : "-plain"}.png` });
    if (look.script) {
      // Over the debugging protocol: the page's own policy runs no script but ours.
      const found = await page.evaluate(`${axe}; axe.run(document, { resultTypes: ["violations"] })`);
      for (const violation of found.violations) {
        const nodes = violation.nodes.slice(0, 3).map((node) => node.html.slice(0, 120)).join(" | ");
        fault(where, `axe ${violation.id} (${violation.nodes.length}): ${nodes}`);
      }
    }
    await page.close();
  }
}
await browser.close();
console.log(`${Object.keys(pages).length * looks.length} looks, ${faults} faults`);
process.exit(faults ? 1 : 0);
