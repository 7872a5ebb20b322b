"use strict";
(() => {
  const tables = [...document.querySelectorAll("table.main")];
  const selects = [...document.querySelectorAll(".filters select")];
  const detailOf = (row) => row.nextElementSibling;
  const rowsOf = (table) => [...table.tBodies[0].querySelectorAll(":scope > .row")];

  function toggle(button) {
    const open = button.getAttribute("aria-expanded") !== "true";
    button.setAttribute("aria-expanded", String(open));
    detailOf(button.closest("tr")).hidden = !open;
  }

  function sort(button) {
    const head = button.closest("th");
    const table = head.closest("table");
    const place = head.cellIndex;
    const numeric = head.dataset.numeric === "yes";
    // Numbers best first, names from A.
    const wanted = head.getAttribute("aria-sort") || (numeric ? "ascending" : "descending");
    const order = wanted === "descending" ? "ascending" : "descending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", order);
    const sign = order === "ascending" ? 1 : -1;
    const key = (row) => row.cells[place].dataset.key;
    const compare = (a, b) => {
      if (!numeric) return sign * ((key(a) > key(b)) - (key(a) < key(b)));
      // What has no number stands last in either order.
      if (key(a) === "" || key(b) === "") return (key(a) === "") - (key(b) === "");
      return sign * (Number(key(a)) - Number(key(b)));
    };
    for (const row of rowsOf(table).sort(compare)) {
      const detail = detailOf(row);
      table.tBodies[0].append(row, detail);
    }
    document.getElementById("sorted").textContent =
      `${table.caption.textContent.split(".")[0]}: sorted by ${button.textContent}, ${order}.`;
  }

  function filter() {
    const asked = Object.fromEntries(selects.map((select) => [select.name, select.value]));
    let shown = 0;
    for (const table of tables) {
      const rows = rowsOf(table);
      // Baselines used no dataset: they stay beside every regime that did.
      const blocks = new Set(
        rows.filter((row) => !asked.dataset || row.dataset.dataset === asked.dataset).map((row) => row.dataset.block),
      );
      let here = 0;
      for (const row of rows) {
        const fits =
          ["suite", "task", "films", "model"].every((name) => !asked[name] || row.dataset[name] === asked[name]) &&
          blocks.has(row.dataset.block) &&
          (!asked.dataset || row.dataset.dataset === asked.dataset || row.dataset.baseline === "yes");
        row.hidden = !fits;
        detailOf(row).hidden = !fits || row.querySelector("button").getAttribute("aria-expanded") !== "true";
        here += fits;
      }
      table.closest(".board").hidden = !here;
      shown += here;
    }
    document.getElementById("shown").textContent = `${shown} of ${document.querySelectorAll(".row").length} rows shown.`;
  }

  for (const detail of document.querySelectorAll(".detail")) detail.hidden = true;
  for (const button of document.querySelectorAll("[data-toggle]")) {
    button.setAttribute("aria-expanded", "false");
    button.addEventListener("click", () => toggle(button));
  }
  for (const button of document.querySelectorAll("[data-sort]")) button.addEventListener("click", () => sort(button));
  for (const select of selects) select.addEventListener("change", filter);
  document.getElementById("reset").addEventListener("click", () => {
    for (const select of selects) select.value = "";
    filter();
  });
  document.querySelector(".filters").addEventListener("submit", (event) => event.preventDefault());
  filter();
})();
