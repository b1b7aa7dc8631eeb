// SPDX-License-Identifier: LGPL-2.1-or-later
// Drawing: the machine as tiles of sections, a section or part of it as pages.
"use strict";

const canvas = document.getElementById("map");
const colours = new Map();

/** A colour of the style sheet, which differs by scheme and on paper. */
function colour(name) {
  if (!colours.has(name))
    colours.set(name, getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim());
  return colours.get(name);
}

const KIND_COLOURS = data.kinds.map(([name]) => `k-${name}`);
const kindColour = (byte) => colour(KIND_COLOURS[byte & KIND_MASK]);

/** Sets a canvas to this size in CSS pixels and returns what draws on it. */
function paper(on, width, height) {
  const scale = window.devicePixelRatio || 1;
  on.width = Math.round(width * scale);
  on.height = Math.round(height * scale);
  on.style.width = `${width}px`;
  on.style.height = `${height}px`;
  const context = on.getContext("2d");
  context.scale(scale, scale);
  return context;
}

/** A view without its cursor: drawn once for a width, as it may have millions of squares. */
function image(view, width) {
  if (view.drawnFor !== width) {
    view.layout(width);
    view.image = document.createElement("canvas");
    const context = paper(view.image, view.width, view.height);
    context.fillStyle = colour("back");
    context.fillRect(0, 0, view.width, view.height);
    view.draw(context);
    view.drawnFor = width;
  }
  return view.image;
}

const DASHES = { suspect: [4, 2], info: [2, 2], log: [3, 2] };

/** A ring round something, seen on any colour. */
function ring(context, box, name, dashes = []) {
  const grown = Math.max(0, 7 - Math.min(box.width, box.height)) / 2;
  const [x, y] = [box.x - grown - 0.5, box.y - grown - 0.5];
  const [width, height] = [box.width + 2 * grown + 1, box.height + 2 * grown + 1];
  context.setLineDash([]);
  context.lineWidth = 4;
  context.strokeStyle = colour("halo");
  context.strokeRect(x, y, width, height);
  context.lineWidth = 2;
  context.setLineDash(dashes);
  context.strokeStyle = colour(name);
  context.strokeRect(x, y, width, height);
  context.setLineDash([]);
}

function markRing(context, box, kind) {
  ring(context, box, kind === "log" ? "task" : kind, DASHES[kind]);
}

/**
 * Rings round squares [first, last] of rows so long, where box() tells where one
 * is: whole rows share one.
 */
function rangeRings(context, first, last, columns, box, kind) {
  for (let from = first; from <= last;) {
    let to = Math.min(last, (Math.floor(from / columns) + 1) * columns - 1);
    if (from % columns === 0)
      while (to + columns <= last) to += columns;
    const [a, b] = [box(from), box(to)];
    markRing(context, { x: a.x, y: a.y, width: b.x + b.width - a.x, height: b.y + b.height - a.y }, kind);
    from = to + 1;
  }
}

/** The cross of a poisoned page. */
function cross(context, box) {
  const middle = [box.x + box.width / 2, box.y + box.height / 2];
  const arm = Math.max(2.5, Math.min(box.width, box.height) / 2 - 1);
  for (const [name, width] of [["halo", 4], ["poison", 2]]) {
    context.strokeStyle = colour(name);
    context.lineWidth = width;
    context.beginPath();
    for (const way of [1, -1]) {
      context.moveTo(middle[0] - arm, middle[1] - way * arm);
      context.lineTo(middle[0] + arm, middle[1] + way * arm);
    }
    context.stroke();
  }
}

function hatch(context, box) {
  context.save();
  context.beginPath();
  context.rect(box.x, box.y, box.width, box.height);
  context.clip();
  context.strokeStyle = colour("hatch");
  context.lineWidth = 1;
  context.beginPath();
  for (let at = -box.height; at < box.width; at += 5) {
    context.moveTo(box.x + at, box.y + box.height);
    context.lineTo(box.x + at + box.height, box.y);
  }
  context.stroke();
  context.restore();
}

/** Room for labels at the left; none in narrow windows. */
const labelMargin = (width) => (width < 500 ? 0 : 72);

/** What begins at this height. */
function label(context, view, y, text) {
  if (!view.margin) return;
  context.fillStyle = colour("dim");
  context.font = "12px ui-monospace, monospace";
  context.textAlign = "right";
  context.textBaseline = "top";
  context.fillText(text, view.margin - 8, y + 2);
}

/**
 * The machine. Items are sections; where memory is missing between two of them
 * there is an empty place. It draws tiles of square cells.
 */
class MachineView {
  constructor(sections) {
    this.sections = sections;
    /** Places of tiles: a section's index, or null. */
    this.places = [];
    this.placeOf = [];
    sections.forEach((nr, index) => {
      if (index && sections[index - 1] !== nr - 1) this.places.push(null);
      this.placeOf.push(this.places.length);
      this.places.push(index);
    });
    this.length = sections.length;
    this.side = Math.ceil(Math.sqrt(CELLS));
  }

  layout(width) {
    this.margin = labelMargin(width);
    // The largest cells with which all tiles are seen at once.
    for (this.cell = 20; ; this.cell--) {
      this.tile = this.side * this.cell + 9;
      this.columns = Math.max(1, Math.floor((width - this.margin) / this.tile));
      this.height = Math.ceil(this.places.length / this.columns) * this.tile;
      if (this.height <= 560 || this.cell === 1) break;
    }
    this.width = this.margin + Math.min(this.columns, this.places.length) * this.tile;
  }

  tileBox(place) {
    const size = this.side * this.cell;
    return {
      x: this.margin + (place % this.columns) * this.tile + 3, y: Math.floor(place / this.columns) * this.tile + 2,
      width: size, height: size,
    };
  }

  cellBox(place, cell) {
    const tile = this.tileBox(place);
    return {
      x: tile.x + (cell % this.side) * this.cell, y: tile.y + Math.floor(cell / this.side) * this.cell,
      width: this.cell, height: this.cell,
    };
  }

  box(index) { return this.tileBox(this.placeOf[index]); }

  range(index) {
    const pfn = this.sections[index] * data.section_pages;
    return [pfn, pfn + data.section_pages];
  }

  at(x, y) {
    const column = Math.floor((x - this.margin) / this.tile);
    if (column < 0 || column >= this.columns) return -1;
    return this.places[Math.floor(y / this.tile) * this.columns + column] ?? -1;
  }

  /** The nearest section in another row of tiles. */
  vertical(index, rows) {
    const wanted = this.placeOf[index] + rows * this.columns;
    if (wanted < 0 || wanted >= this.places.length) return index;
    return this.places[wanted] ?? this.places[wanted + 1] ?? index;
  }

  get rowsPerScreen() { return 5; }

  draw(context) {
    for (let row = 0; row * this.columns < this.places.length; row++) {
      const first = this.places[row * this.columns] ?? this.places[row * this.columns + 1];
      const address = this.sections[first] * data.section_pages * data.page_size;
      label(context, this, row * this.tile, bytes(address));
    }
    this.sections.forEach((nr, index) => this.drawTile(context, nr, this.placeOf[index]));
    this.sections.forEach((nr, index) => this.outlinePgmaps(context, nr, this.placeOf[index]));
    for (const mark of [...data.marks].reverse()) this.drawMark(context, mark);
  }

  drawTile(context, nr, place) {
    const tile = this.tileBox(place);
    const known = sectionIndex.has(nr);
    if (known) this.drawCells(context, nr, place);
    const [pfn, end] = [nr * data.section_pages, (nr + 1) * data.section_pages];
    if (!known && isOffline(pfn, end)) hatch(context, tile);
    context.strokeStyle = colour("line");
    context.lineWidth = 1;
    context.strokeRect(tile.x - 0.5, tile.y - 0.5, tile.width + 1, tile.height + 1);
    // A strip of the zones that span it.
    const zones = [...data.zones.keys()].filter((i) => data.zones[i][1] < end && pfn < data.zones[i][2]);
    zones.forEach((zone, i) => {
      const width = tile.width / zones.length;
      context.fillStyle = colour(`z-${zone % 6}`);
      context.fillRect(tile.x + i * width, tile.y + tile.height + 2, width, 3);
    });
  }

  drawCells(context, nr, place) {
    const gap = this.cell > 3 ? 1 : 0;
    for (let cell = 0, next; cell < CELLS; cell = next) {
      const kind = cellOf(nr, cell) & KIND_MASK, box = this.cellBox(place, cell);
      next = cell + 1;
      // Of small cells, equal ones of a row are one: a machine may have millions.
      while (!gap && next % this.side && (cellOf(nr, next) & KIND_MASK) === kind) next++;
      box.width *= next - cell;
      if (kindName(kind) === "not-memory") {
        const start = nr * data.section_pages + cell * data.cell_pages;
        if (isOffline(start, start + data.cell_pages)) hatch(context, box);
        continue;
      }
      context.fillStyle = kindColour(kind);
      context.fillRect(box.x, box.y, box.width - gap, box.height - gap);
    }
    for (let cell = 0; cell < CELLS; cell++) {
      const byte = cellOf(nr, cell);
      if (byte & HUGE && gap) {
        const box = this.cellBox(place, cell);
        const dot = Math.max(1, Math.round(this.cell / 4)), inset = (this.cell - gap - dot) / 2;
        context.fillStyle = colour("thp");
        context.fillRect(box.x + inset, box.y + inset, dot, dot);
      }
      if (byte & HWPOISON) cross(context, this.cellBox(place, cell));
    }
  }

  /** Lines round the cells of each pgmap. */
  outlinePgmaps(context, nr, place) {
    const first = nr * data.section_pages;
    const here = data.pgmaps.filter((pgmap) => isIn(pgmap, first, first + data.section_pages));
    if (!here.length || !sectionIndex.has(nr)) return;
    const owner = (cell) => {
      if (cell < 0 || cell >= CELLS) return -1;
      const pfn = first + cell * data.cell_pages;
      return here.findIndex((pgmap) => isIn(pgmap, pfn, pfn + data.cell_pages));
    };
    context.strokeStyle = colour("text");
    context.lineWidth = 1.5;
    context.beginPath();
    for (let cell = 0; cell < CELLS; cell++) {
      const own = owner(cell), { x, y, width, height } = this.cellBox(place, cell);
      if (own < 0) continue;
      const column = cell % this.side, gap = this.cell > 3 ? 1 : 0;
      const [right, bottom] = [x + width - gap, y + height - gap];
      const line = (...points) => { context.moveTo(points[0], points[1]); context.lineTo(points[2], points[3]); };
      if (!column || owner(cell - 1) !== own) line(x, y, x, bottom);
      if (column === this.side - 1 || owner(cell + 1) !== own) line(right, y, right, bottom);
      if (owner(cell - this.side) !== own) line(x, y, right, y);
      if (owner(cell + this.side) !== own) line(x, bottom, right, bottom);
    }
    context.stroke();
  }

  drawMark(context, mark) {
    const first = Math.floor(mark.pfn / data.section_pages);
    const last = Math.floor((mark.pfn_end - 1) / data.section_pages);
    this.sections.forEach((nr, index) => {
      if (nr < first || nr > last) return;
      const place = this.placeOf[index], start = nr * data.section_pages;
      const from = Math.floor(Math.max(0, mark.pfn - start) / data.cell_pages);
      const to = Math.ceil(Math.min(data.section_pages, mark.pfn_end - start) / data.cell_pages);
      rangeRings(context, from, to - 1, this.side, (cell) => this.cellBox(place, cell), mark.kind);
    });
  }
}

/** Pages [start, start + length) of one section, a square each. */
class PagesView {
  constructor(section, start, length, pages, wide) {
    Object.assign(this, { section, start, length, pages, wide });
    this.offset = start - section * data.section_pages;
  }

  layout(width) {
    this.columns = this.wide;
    this.margin = labelMargin(width);
    while (this.columns > 16 && Math.floor(width / this.columns) < 5) this.columns /= 2;
    this.square = Math.max(3, Math.min(26, Math.floor((width - this.margin - 6) / this.columns)));
    this.width = this.margin + this.columns * this.square + 6;
    this.height = Math.ceil(this.length / this.columns) * this.square + 6;
  }

  box(index) {
    return {
      x: this.margin + 3 + (index % this.columns) * this.square, y: 3 + Math.floor(index / this.columns) * this.square,
      width: this.square - 1, height: this.square - 1,
    };
  }

  range(index) { return [this.start + index, this.start + index + 1]; }

  at(x, y) {
    const column = Math.floor((x - this.margin - 3) / this.square), row = Math.floor((y - 3) / this.square);
    const index = row * this.columns + column;
    return column >= 0 && column < this.columns && index >= 0 && index < this.length ? index : -1;
  }

  vertical(index, rows) {
    const wanted = index + rows * this.columns;
    return wanted < 0 || wanted >= this.length ? index : wanted;
  }

  get rowsPerScreen() { return 16; }

  kind(index) { return this.pages.kinds[this.offset + index]; }
  order(index) { return this.pages.orders[this.offset + index]; }

  /** Whether two pages are of the same block or folio. */
  joined(a, b) {
    const order = this.order(a);
    return b < this.length && this.order(b) === order &&
      (this.kind(a) & KIND_MASK) === (this.kind(b) & KIND_MASK) &&
      unitStart(this.start + a, order) === unitStart(this.start + b, order);
  }

  draw(context) {
    const every = 2 ** Math.ceil(Math.log2(Math.max(1, 18 / this.square)));
    for (let row = 0; row * this.columns < this.length; row += every)
      label(context, this, row * this.square, hex(this.start + row * this.columns));
    for (let index = 0; index < this.length; index++) {
      const box = this.box(index), kind = this.kind(index);
      if (kindName(kind) === "not-memory") {
        if (isOffline(this.start + index, this.start + index + 1)) hatch(context, box);
        continue;
      }
      const right = (index + 1) % this.columns && this.joined(index, index + 1);
      const below = this.joined(index, index + this.columns);
      context.fillStyle = kindColour(kind);
      context.fillRect(box.x, box.y, this.square - (right ? 0 : 1), this.square - (below ? 0 : 1));
    }
    for (const mark of marksIn(this.start, this.start + this.length).reverse()) this.drawMark(context, mark);
    for (let index = 0; index < this.length; index++)
      if (this.kind(index) & HWPOISON) cross(context, this.box(index));
  }

  drawMark(context, mark) {
    const first = Math.max(0, mark.pfn - this.start);
    const last = Math.min(this.length, mark.pfn_end - this.start) - 1;
    rangeRings(context, first, last, this.columns, (index) => this.box(index), mark.kind);
  }
}
