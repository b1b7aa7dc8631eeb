// SPDX-License-Identifier: LGPL-2.1-or-later
// The picture as one uses it: a cursor, keys, pointer, and what is said of the place.
"use strict";

const sections = allSections();
const machine = new MachineView(sections);
/** From the machine down to pages: each with its view and cursor. */
let levels = [{ view: machine, cursor: 0, title: "Machine" }];
let lastMark = -1;
/** Pages that are seen at once at the closest. */
const CLOSE_PAGES = 512;

const level = () => levels[levels.length - 1];
const byId = (id) => document.getElementById(id);

function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

let working = 0;

/** Does what may take a while; those who wait are told. */
async function during(work) {
  canvas.setAttribute("aria-busy", ++working > 0);
  try {
    await work();
  } finally {
    canvas.setAttribute("aria-busy", --working > 0);
  }
}

function draw() {
  const { view, cursor } = level();
  const drawn = image(view, canvas.parentElement.clientWidth);
  const context = paper(canvas, view.width, view.height);
  context.drawImage(drawn, 0, 0, view.width, view.height);
  ring(context, view.box(cursor), "cursor");
}

/** Scrolls as far as it takes to see the cursor. */
function reveal() {
  const { view, cursor } = level();
  const box = view.box(cursor), top = canvas.getBoundingClientRect().top + box.y;
  const beyond = top + box.height + 16 - window.innerHeight;
  if (top < 16) window.scrollBy(0, top - 16);
  else if (beyond > 0) window.scrollBy(0, beyond);
}

/** Facts of the section under the cursor. */
function sectionFacts(nr) {
  const counts = new Map();
  for (let cell = 0; sectionIndex.has(nr) && cell < CELLS; cell++) {
    const title = kindTitle(cellOf(nr, cell));
    counts.set(title, (counts.get(title) ?? 0) + 1);
  }
  const most = [...counts].sort((a, b) => b[1] - a[1]);
  const size = bytes(data.cell_pages * data.page_size);
  return most.length
    ? [["mostly", most.map(([title, count]) => `${title} ${count}`).join(", ") + ` (of ${CELLS} times ${size})`]]
    : [];
}

/** Facts of the page under the cursor. */
function pageFacts(view, index) {
  const pfn = view.start + index, kind = view.kind(index), order = view.order(index);
  const facts = [["what", kindTitle(kind) + (kind & HWPOISON ? ", poisoned (PG_hwpoison)" : "")]];
  if (order) {
    const first = unitStart(pfn, order);
    facts.push(["part of", `${kindName(kind) === "free" ? "a free block" : "a folio"} of order ${order}: ` +
      `page ${decimal(pfn - first)} of ${decimal(2 ** order)} from pfn ${hex(first)}`]);
  }
  facts.push(["physical", "0x" + (BigInt(pfn) * BigInt(data.page_size)).toString(16)]);
  facts.push(["struct page", structPage(pfn)]);
  facts.push(["section", String(view.section)]);
  return facts;
}

/** A line for the one who listens. */
function summary(view, index, marks) {
  const [pfn] = view.range(index);
  const what = view === machine
    ? `Section ${sections[index]}, ${placeFacts(...view.range(index))[0][1]}`
    : `pfn ${hex(pfn)}, ${kindTitle(view.kind(index))}${view.kind(index) & HWPOISON ? ", poisoned" : ""}`;
  const found = marks.length ? `; ${plural(marks.length, "mark")}: ${marks[0].label}` : "";
  return what + found;
}

function describe() {
  const { view, cursor } = level();
  const [pfn, end] = view.range(cursor);
  const marks = marksIn(pfn, end);
  byId("says").textContent = summary(view, cursor, marks);
  const range = end - pfn === 1
    ? [["pfn", `${hex(pfn)} (${pfn})`]]
    : [["pfns", `${hex(pfn)} to ${hex(end - 1)}`], ["size", bytes((end - pfn) * data.page_size)]];
  const own = view === machine ? sectionFacts(sections[cursor]) : pageFacts(view, cursor);
  const facts = [...range, ...own, ...placeFacts(pfn, end)];
  if (view !== machine) facts.push(["to know more", `${data.command} ${hex(pfn)}`]);
  byId("about").replaceChildren(...facts.map(([name, text]) => {
    const row = document.createElement("tr");
    row.append(element("th", name, { scope: "row" }), element("td", text));
    return row;
  }));
  byId("marks-here").replaceChildren(...marks.slice(0, 12).map((mark) => {
    const item = document.createElement("li");
    item.append(element("span", mark.kind, { class: `badge ${mark.kind}` }), " ");
    item.append(element("a", mark.label, { href: mark.href }));
    return item;
  }));
  byId("zoom-out").disabled = levels.length === 1;
  byId("zoom-in").disabled = levels.length === 3;
  crumbs();
}

function crumbs() {
  const parts = levels.flatMap(({ title }, depth) => {
    if (depth === levels.length - 1) return [element("span", title, { "aria-current": "location" })];
    const up = element("button", title, { type: "button" });
    up.addEventListener("click", () => { zoomOut(depth + 1); canvas.focus(); });
    return [up, " \u203a "];
  });
  byId("crumbs").replaceChildren(...parts);
}

function show() {
  draw();
  describe();
}

function move(cursor) {
  const { view } = level();
  level().cursor = Math.max(0, Math.min(view.length - 1, cursor));
  show();
}

function zoomOut(depth = levels.length - 1) {
  levels.length = Math.max(1, Math.min(levels.length, depth));
  show();
}

/** To the section under the cursor, then to the pages round it. */
async function zoomIn() {
  const { view, cursor } = level();
  if (levels.length === 1) {
    const nr = sections[cursor], start = nr * data.section_pages;
    const pages = await pagesOf(nr);
    if (level().view !== view) return;
    if (!pages) {
      const why = sectionIndex.has(nr) ? "there was no room for its pages" : "nothing is known of its pages";
      byId("says").textContent += `; ${why}`;
      return;
    }
    const opened = new PagesView(nr, start, data.section_pages, pages, 128);
    const mark = marksIn(start, start + data.section_pages)[0];
    levels.push({ view: opened, cursor: mark ? Math.max(0, mark.pfn - start) : 0, title: `Section ${nr}` });
  } else if (levels.length === 2) {
    const first = Math.floor(cursor / CLOSE_PAGES) * CLOSE_PAGES;
    const start = view.start + first, length = Math.min(CLOSE_PAGES, view.length - first);
    const opened = new PagesView(view.section, start, length, view.pages, 32);
    levels.push({ view: opened, cursor: cursor - first, title: `pfns from ${hex(start)}` });
  }
  show();
}

/** Puts the cursor on a pfn, close to it where its pages are known. */
async function goTo(pfn) {
  const nr = Math.floor(pfn / data.section_pages), index = sections.indexOf(nr);
  zoomOut(1);
  if (!(index >= 0)) {
    byId("says").textContent = Number.isFinite(pfn) ? `pfn ${hex(pfn)}: there is no such memory.` : "That is no pfn.";
    return;
  }
  move(index);
  await zoomIn();
  if (levels.length < 2) return;
  move(pfn - level().view.start);
  await zoomIn();
}

async function goToMark(step) {
  if (!markOrder.length) return;
  lastMark = (lastMark + step + markOrder.length) % markOrder.length;
  if (lastMark < 0) lastMark = markOrder.length - 1;
  await goTo(markOrder[lastMark].pfn);
  byId("says").textContent = `Mark ${lastMark + 1} of ${markOrder.length}: ` + byId("says").textContent;
}

const KEYS = {
  ArrowLeft: () => move(level().cursor - 1),
  ArrowRight: () => move(level().cursor + 1),
  ArrowUp: () => move(level().view.vertical(level().cursor, -1)),
  ArrowDown: () => move(level().view.vertical(level().cursor, 1)),
  PageUp: () => move(level().view.vertical(level().cursor, -level().view.rowsPerScreen)),
  PageDown: () => move(level().view.vertical(level().cursor, level().view.rowsPerScreen)),
  Home: () => move(0),
  End: () => move(level().view.length - 1),
  Enter: zoomIn, "+": zoomIn,
  Escape: () => zoomOut(), Backspace: () => zoomOut(), "-": () => zoomOut(),
  n: () => goToMark(1),
  p: () => goToMark(lastMark < 0 ? 0 : -1),
};

canvas.addEventListener("keydown", async (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || !KEYS[event.key]) return;
  event.preventDefault();
  await during(KEYS[event.key]);
  reveal();
});

function under(event) {
  const box = canvas.getBoundingClientRect();
  return level().view.at(event.clientX - box.left, event.clientY - box.top);
}

canvas.addEventListener("click", (event) => {
  const index = under(event);
  if (index >= 0) move(index);
});
canvas.addEventListener("dblclick", () => during(zoomIn));
canvas.addEventListener("mousemove", (event) => {
  const index = under(event), { view } = level();
  canvas.title = index < 0 ? "" : summary(view, index, marksIn(...view.range(index)));
});

byId("zoom-in").addEventListener("click", () => during(zoomIn));
byId("zoom-out").addEventListener("click", () => zoomOut());
byId("next-mark").addEventListener("click", () => during(KEYS.n));
byId("previous-mark").addEventListener("click", () => during(KEYS.p));
byId("go").addEventListener("submit", (event) => {
  event.preventDefault();
  during(() => goTo(parsePfn(byId("go-to").value)));
});

/** #pfn=0x...: what links of findings say. Others may be folded. */
async function followHash() {
  const pfn = /^#pfn=(.+)$/.exec(location.hash);
  if (pfn) {
    await goTo(parsePfn(decodeURIComponent(pfn[1])));
    canvas.focus({ preventScroll: true });
    byId("picture").scrollIntoView({ block: "start" });
    return;
  }
  const target = location.hash.length > 1 && byId(location.hash.slice(1));
  if (target && target.tagName === "DETAILS") {
    target.open = true;
    target.scrollIntoView();
  }
}

function repaint() {
  colours.clear();
  for (const { view } of levels) view.drawnFor = null;
  draw();
}

async function start() {
  document.documentElement.classList.add("js");
  if (!sections.length || typeof DecompressionStream === "undefined") return;
  cells = await unpack(data.cells);
  byId("picture").hidden = false;
  byId("next-mark").disabled = byId("previous-mark").disabled = !markOrder.length;
  show();
  new ResizeObserver(draw).observe(canvas.parentElement);
  for (const query of ["(prefers-color-scheme: dark)", "print", "(prefers-contrast: more)"])
    matchMedia(query).addEventListener("change", repaint);
  window.addEventListener("hashchange", () => during(followHash));
  await followHash();
  document.documentElement.classList.add("drawn");
}

start();
