"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const parse = (id) => JSON.parse(byId(id).textContent);
  const data = parse("content");
  const PAGE = 240;
  const POSITIVE = "covid-19";
  const maskPlace = new Map(data.masks.map((row, place) => [row, place]));

  function value(name, row) {
    const column = data.columns[name];
    if (!column) return "";
    return column.values[column.codes ? column.codes[row] : row];
  }

  // A sheet becomes an address of a blob when one of its thumbnails is first seen.
  function book(id) {
    const sheets = parse(id);
    const urls = [];
    return (number) => {
      if (!urls[number]) {
        const bytes = Uint8Array.from(atob(sheets[number]), (c) => c.charCodeAt(0));
        urls[number] = URL.createObjectURL(new Blob([bytes], { type: "image/webp" }));
        sheets[number] = null;
      }
      return urls[number];
    };
  }
  const imageSheet = book("image-sheets");
  const maskSheet = book("mask-sheets");

  // The thumbnail at `place` of its sheets as the background of an element of any size.
  function draw(element, sheet, place, count) {
    const each = data.across ** 2;
    const inside = place % each;
    const down = Math.ceil(Math.min(each, count - (place - inside)) / data.across);
    const percent = (at, of) => (of > 1 ? (100 * at) / (of - 1) : 0);
    element.style.backgroundImage = `url("${sheet(Math.floor(place / each))}")`;
    element.style.backgroundSize = `${100 * data.across}% ${100 * down}%`;
    element.style.backgroundPosition =
      `${percent(inside % data.across, data.across)}% ${percent(Math.floor(inside / data.across), down)}%`;
  }

  const nameOf = (row) => value("image_id", row) || `row ${row + 1}`;
  const say = (row) => [nameOf(row), value("label", row), value("pattern", row)].filter(Boolean).join(", ");

  function make(kind, parent, text, more = {}) {
    const element = document.createElement(kind);
    if (text !== null) element.textContent = text;
    Object.assign(element, more);
    parent.append(element);
    return element;
  }

  function tile(parent, row) {
    const button = make("button", parent, null, { type: "button", className: "tile", title: say(row) });
    button.setAttribute("aria-label", say(row));
    button.dataset.row = row;
    draw(button, imageSheet, row, data.count);
    return button;
  }

  // Filters: a column is offered where it has more than one value.
  const FILTERS = { subset: "config", label: "label", pattern: "pattern", source_license: "source licence" };
  const selects = [];
  for (const [name, title] of Object.entries(FILTERS)) {
    const column = data.columns[name];
    const values = column ? [...new Set(column.values)].sort() : [];
    if (values.length < 2) continue;
    const select = make("select", make("label", byId("filters"), title), null, { name, id: `filter-${name}` });
    make("option", select, "all", { value: "*" });
    for (const text of values) make("option", select, text || "none", { value: text });
    selects.push(select);
  }
  const search = make("input", make("label", byId("filters"), "id or source contains"), null, { type: "search", id: "search" });

  let shown = [];
  let start = 0;
  let current = 0;

  function filter() {
    const text = search.value.trim().toLowerCase();
    shown = [];
    for (let row = 0; row < data.count; row += 1) {
      const fits =
        selects.every((select) => select.value === "*" || value(select.name, row) === select.value) &&
        (!text || `${value("image_id", row)} ${value("source_id", row)}`.toLowerCase().includes(text));
      if (fits) shown.push(row);
    }
    start = 0;
    byId("shown").textContent = `${shown.length.toLocaleString("en")} of ${data.count.toLocaleString("en")} images`;
    compose();
    grid();
  }

  function compose() {
    const box = byId("composition");
    box.replaceChildren();
    const counts = new Map();
    for (const row of shown) counts.set(value("label", row), (counts.get(value("label", row)) || 0) + 1);
    for (const [label, count] of [...counts].sort()) {
      make("span", box, label || "no label");
      const fill = make("div", make("div", box, null, { className: "track" }), null, { className: "fill" });
      fill.classList.toggle("positive", label === POSITIVE);
      fill.style.width = `${(100 * count) / shown.length}%`;
      make("span", box, count.toLocaleString("en"));
    }
    const positives = counts.get(POSITIVE) || 0;
    const skew = positives ? ((shown.length - positives) / positives).toFixed(2) : "not defined: no positives";
    make("span", box, `skew (negatives / positives): ${skew}`, { id: "skew", className: "whole" });
  }

  function grid() {
    const box = byId("grid");
    box.dataset.side = data.side;
    box.replaceChildren();
    const rows = shown.slice(start, start + PAGE);
    rows.forEach((row, place) => { tile(box, row).tabIndex = place ? -1 : 0; });
    const pages = Math.max(1, Math.ceil(shown.length / PAGE));
    byId("where").textContent = `page ${start / PAGE + 1} of ${pages}`;
    byId("back").disabled = start === 0;
    byId("on").disabled = start + PAGE >= shown.length;
  }

  function turn(step) {
    const next = start + step * PAGE;
    if (next < 0 || next >= shown.length) return;
    start = next;
    grid();
  }

  function focus(button) {
    if (!button) return;
    for (const other of byId("grid").querySelectorAll('[tabindex="0"]')) other.tabIndex = -1;
    button.tabIndex = 0;
    button.focus();
  }

  function strip(title, entries) {
    if (!entries.length) return;
    make("h3", byId("related"), title);
    const box = make("div", byId("related"), null, { className: "strip" });
    for (const [row, text] of entries) {
      const part = make("div", box, null);
      tile(part, row);
      make("span", part, text);
    }
  }

  // Rows that share the value of all `names` with the row.
  function sharing(row, ...names) {
    if (names.some((name) => !value(name, row))) return [];
    const found = [];
    for (let other = 0; other < data.count && found.length < 24; other += 1) {
      if (other !== row && names.every((name) => value(name, other) === value(name, row))) found.push(other);
    }
    return found;
  }

  function open(row) {
    current = row;
    byId("name").textContent = nameOf(row);
    draw(byId("large"), imageSheet, row, data.count);
    byId("large").setAttribute("aria-label", say(row));
    const place = maskPlace.get(row);
    byId("mask-choice").hidden = place === undefined;
    byId("mask").hidden = place === undefined || !byId("mask-on").checked;
    if (place !== undefined) draw(byId("mask"), maskSheet, place, data.masks.length);
    byId("lineage").replaceChildren();
    for (const name of Object.keys(data.columns)) {
      make("dt", byId("lineage"), name);
      make("dd", byId("lineage"), value(name, row) || "none");
    }
    byId("related").replaceChildren();
    strip("Pair", sharing(row, "pair_id").map((other) => [other, value("pattern", other) || value("label", other)]));
    const source = sharing(row, "source_dataset", "source_id").filter((other) => !value("pair_id", row) || value("pair_id", other) !== value("pair_id", row));
    strip("Made from the same real film", source.map((other) => [other, value("subset", other)]));
    const near = [];
    for (let at = row * data.near.k; at < (row + 1) * data.near.k; at += 1) {
      near.push([data.near.rows[at], `${(data.near.r[at] / 100).toFixed(2)} ${value("subset", data.near.rows[at])}`]);
    }
    strip("Nearest neighbours, with the correlation of thumbnails", near);
    if (!byId("detail").open) byId("detail").showModal();
    byId("detail").scrollTop = 0;
  }

  function step(by) {
    const at = shown.indexOf(current);
    const next = shown[at + by];
    if (at >= 0 && next !== undefined) open(next);
  }

  function close() {
    byId("detail").close();
    toTile();
  }

  // The browser gives the focus to the tile that opened the image; the keys go on from the one seen last.
  function toTile() {
    if (byId("detail").open) return;
    const at = shown.indexOf(current);
    if (at >= 0 && (at < start || at >= start + PAGE)) {
      start = Math.floor(at / PAGE) * PAGE;
      grid();
    }
    focus(byId("grid").querySelector(`[data-row="${current}"]`));
  }

  byId("detail").addEventListener("close", toTile); // comes late, and alone where a gesture closes
  document.addEventListener("click", (event) => {
    const button = event.target.closest(".tile");
    if (button) open(Number(button.dataset.row));
    if (event.target === byId("detail")) close(); // the ground outside
  });
  byId("close").addEventListener("click", close);
  byId("before").addEventListener("click", () => step(-1));
  byId("after").addEventListener("click", () => step(1));
  byId("back").addEventListener("click", () => turn(-1));
  byId("on").addEventListener("click", () => turn(1));
  byId("mask-on").addEventListener("change", () => open(current));
  byId("filters").addEventListener("input", filter);
  byId("filters").addEventListener("submit", (event) => event.preventDefault());

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input[type=search], select")) return;
    if (byId("detail").open) {
      if (event.key === "Escape") {
        event.preventDefault();
        close();
      } else if (event.key === "ArrowLeft") step(-1);
      else if (event.key === "ArrowRight") step(1);
      else if (event.key.toLowerCase() === "m" && !byId("mask-choice").hidden) byId("mask-on").click();
      return;
    }
    if (event.key.toLowerCase() === "n") turn(1);
    if (event.key.toLowerCase() === "p") turn(-1);
    const tiles = [...byId("grid").children];
    const at = tiles.indexOf(document.activeElement);
    if (at < 0) return;
    const top = tiles[0].offsetTop;
    const across = tiles.filter((each) => each.offsetTop === top).length;
    const moves = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -across, ArrowDown: across };
    if (event.key in moves) {
      event.preventDefault();
      focus(tiles[at + moves[event.key]]);
    }
  });
  filter();
})();
