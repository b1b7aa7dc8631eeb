// SPDX-License-Identifier: LGPL-2.1-or-later
// What the picture knows: the data of html_memory.py, unpacked when it is wanted.
"use strict";

const data = JSON.parse(document.getElementById("picture-data").textContent);
const KIND_MASK = 0x1f, HUGE = 0x40, HWPOISON = 0x80;
/** No picture has more sections, as in html_memory.py: 8 TiB. */
const MAX_SECTIONS = 65536;
const CELLS = data.section_pages / data.cell_pages;
const SEVERITIES = ["crash", "bug", "suspect", "info", "task", "log"];

/** Bytes of base64 of zlib. */
async function unpack(text) {
  const packed = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** By the number of a section: which of those with cells it is. */
const sectionIndex = new Map();
for (const [first, end] of data.sections)
  for (let nr = first; nr < end; nr++) sectionIndex.set(nr, sectionIndex.size);

/** Numbers of all sections that there is anything of, or to say of, rising. */
function allSections() {
  const numbers = new Set(sectionIndex.keys());
  for (const mark of data.marks) numbers.add(Math.floor(mark.pfn / data.section_pages));
  for (const [pfn, end] of data.states) {
    const last = Math.floor((end - 1) / data.section_pages);
    for (let nr = Math.floor(pfn / data.section_pages); nr <= last; nr++) {
      if (numbers.size >= MAX_SECTIONS) break;
      numbers.add(nr);
    }
  }
  return [...numbers].sort((a, b) => a - b);
}

let cells = new Uint8Array(0);

/** The cell's byte, or null where nothing is known of the section. */
function cellOf(section, cell) {
  const index = sectionIndex.get(section);
  return index === undefined ? null : cells[index * CELLS + cell];
}

const unpacked = new Map();

/**
 * Kinds and orders of a section's pages. Null where the page has no room for
 * them, or nothing is known of the section.
 */
async function pagesOf(section) {
  if (data.runs[section] === undefined) return null;
  if (!unpacked.has(section)) {
    if (unpacked.size >= 64) unpacked.clear();
    unpacked.set(section, decodeRuns(await unpack(data.runs[section])));
  }
  return unpacked.get(section);
}

/** Runs of a kind's byte, an order, and a number of pages in LEB128. */
function decodeRuns(bytes) {
  const kinds = new Uint8Array(data.section_pages), orders = new Uint8Array(data.section_pages);
  let page = 0;
  for (let at = 0; at + 2 < bytes.length;) {
    const kind = bytes[at++], order = bytes[at++];
    let length = 0, shift = 0, byte;
    do {
      byte = bytes[at++];
      length += (byte & 0x7f) << shift;
      shift += 7;
    } while (byte & 0x80);
    kinds.fill(kind, page, page + length);
    orders.fill(order, page, page + length);
    page += length;
  }
  return { kinds, orders };
}

/** First page of the block or folio of so many pages that the pfn is in. */
const unitStart = (pfn, order) => Math.floor(pfn / 2 ** order) * 2 ** order;

/** What intersects [pfn, end), of entries [.., start, end, ..]. */
const overlap = (ranges, pfn, end, start = 0) =>
  ranges.filter((range) => range[start] < end && pfn < range[start + 1]);

const marksIn = (pfn, end) => data.marks.filter((mark) => mark.pfn < end && pfn < mark.pfn_end);

/** Where each mark is found, in the order of memory; as n and p go through them. */
const markOrder = [...data.marks].sort((a, b) => a.pfn - b.pfn || a.pfn_end - b.pfn_end);

const hex = (number) => "0x" + number.toString(16);
const decimal = (number) => number.toLocaleString("en");
const plural = (number, noun) => `${decimal(number)} ${noun}${number === 1 ? "" : "s"}`;
const kindName = (byte) => data.kinds[byte & KIND_MASK][0];
const kindTitle = (byte) => data.kinds[byte & KIND_MASK][1];

function bytes(count) {
  let unit = 0;
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  for (; count >= 1024 && unit < units.length - 1; unit++) count /= 1024;
  return `${+count.toPrecision(4)} ${units[unit]}`;
}

const structPage = (pfn) =>
  "0x" + (BigInt(data.vmemmap) + BigInt(pfn) * BigInt(data.page_struct_size)).toString(16);

/** A pfn, decimal or 0x; the address of a struct page; or phys:0x...; NaN for anything else. */
function parsePfn(text) {
  const match = /^\s*(phys:)?(0x[0-9a-f]+|[0-9]+)\s*$/i.exec(text);
  if (!match) return NaN;
  const number = BigInt(match[2].toLowerCase());
  if (match[1]) return Number(number / BigInt(data.page_size));
  const memmap = BigInt(data.vmemmap);
  if (number >= 1n << 63n) {
    return number < memmap ? NaN : Number((number - memmap) / BigInt(data.page_struct_size));
  }
  return Number(number);
}

/** Whether there is memory that is not online, and no hole. */
const isOffline = (pfn, end) => overlap(data.states, pfn, end).some((run) => run[2] === "offline");

/** Whether a pgmap has any of this memory, for itself or its altmap. */
const isIn = ({ ranges, altmap }, pfn, end) =>
  overlap(ranges, pfn, end).length > 0 || (altmap !== null && overlap([altmap], pfn, end).length > 0);

/** Lines [name, text] of what is known of [pfn, end), but for single pages. */
function placeFacts(pfn, end) {
  const facts = [];
  const states = overlap(data.states, pfn, end).map((run) => run[2]);
  facts.push(["state", [...new Set(states)].join(", ") || "absent"]);
  const zones = overlap(data.zones, pfn, end, 1).map((zone) => zone[0]);
  if (zones.length) facts.push(["in the span of", zones.join(", ")]);
  for (const [first, last, start, stop, state] of overlap(data.blocks, pfn, end, 2)) {
    const size = (stop - start) / (last - first + 1);
    const nr = first + Math.floor((Math.max(pfn, start) - start) / size);
    facts.push(["memory block", `${nr}, ${state}`]);
    break;
  }
  for (const pgmap of data.pgmaps) {
    if (overlap(pgmap.ranges, pfn, end).length) facts.push(["pgmap", pgmap.name]);
    if (pgmap.altmap && overlap([pgmap.altmap], pfn, end).length)
      facts.push(["altmap", `of ${pgmap.name}`]);
  }
  return facts;
}
