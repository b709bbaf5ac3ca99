// Tables: sorted by their headings, filtered by method, dataset and kind, scrolled sideways with a hint.

// "1.511 × 8" is a product, "−0.5 [−1, 2]" begins with its value, and "—" has none.
function numberOf(text) {
  const plain = text.replaceAll("−", "-").replaceAll(",", "").trim();
  const product = plain.match(/^([\d.]+) × ([\d.]+)$/);
  if (product) return product[1] * product[2];
  const found = plain.match(/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?/i);
  return found ? Number(found[0]) : NaN;
}

const textOf = (cell) => (cell.querySelector("span") ?? cell).textContent.trim();

function compareCells(first, second, isText) {
  if (isText) return first < second ? -1 : Number(first > second);
  return numberOf(first) - numberOf(second);
}

function sortBy(table, head, column) {
  const better = head.dataset.better;
  const turns = better === "higher" ? ["descending", "ascending", ""] : ["ascending", "descending", ""];
  const turn = turns[(turns.indexOf(head.getAttribute("aria-sort") ?? "") + 1) % turns.length];
  every("th[aria-sort]", table).forEach((other) => other.removeAttribute("aria-sort"));
  if (turn) head.setAttribute("aria-sort", turn);
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const texts = new Map(rows.map((row) => [row, textOf(row.cells[column])]));
  const isEmpty = (row) => (head.dataset.text ? ["", "—"].includes(texts.get(row)) : Number.isNaN(numberOf(texts.get(row))));
  const sign = turn === "descending" ? -1 : 1;
  rows.sort((a, b) => {
    const byPlace = a.dataset.place - b.dataset.place;
    const fixed = ("fixed" in b.dataset) - ("fixed" in a.dataset);
    if (!turn || fixed) return fixed || byPlace;
    const empty = isEmpty(a) - isEmpty(b);  // lines without a value come last, whichever way the others are sorted
    if (empty || isEmpty(a)) return empty || byPlace;
    return sign * compareCells(texts.get(a), texts.get(b), head.dataset.text) || byPlace;
  });
  body.append(...rows);
  const name = head.querySelector(".head").textContent.trim();
  byId("said").textContent = turn ? `Sorted by ${name}, ${turn}` : "In the order of the suite";
}

function makeSortable(table) {
  [...table.tBodies[0].rows].forEach((row, place) => { row.dataset.place = place; });
  every("thead tr:last-child th", table).forEach((head, column) => {
    const button = element("button", { type: "button", title: "Sort" });
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => sortBy(table, head, column));
  });
}

function filterTables() {
  const words = byId("by-method").value.toLowerCase().split(",").map((word) => word.trim()).filter(Boolean);
  const dataset = byId("by-dataset").value;
  const kind = byId("by-kind").value;
  const isOther = (item) => Boolean(dataset && item.dataset.dataset && item.dataset.dataset !== dataset);
  const seen = new Set(), known = new Set();
  every("section.table").forEach((section) => {
    section.hidden = isOther(section);
    every("nav a").filter((link) => link.hash === `#${section.id}`).forEach((link) => {
      link.parentElement.hidden = section.hidden;
    });
    every("thead [data-dataset], td[data-dataset]", section).forEach((cell) => { cell.hidden = isOther(cell); });
    every("tbody tr", section).forEach((row) => {
      const label = row.dataset.method ?? "";
      const isWanted = !words.length || words.some((word) => label.toLowerCase().includes(word));
      const isKind = !kind || row.dataset.kind === kind;
      row.hidden = isOther(row) || ("method" in row.dataset && !(isWanted && isKind));
      if ("method" in row.dataset) known.add(label);
      if ("method" in row.dataset && !row.hidden) seen.add(label);
    });
  });
  byId("said").textContent = `${seen.size} of ${known.size} methods shown`;
  every(".scrolled").forEach(hintAt);
}

// A table that goes on to the right says so in words, and is shaded at that edge.
function hintAt(scrolled) {
  const scroller = scrolled.querySelector(".scroller");
  const left = scroller.scrollWidth - scroller.clientWidth - scroller.scrollLeft;
  scrolled.classList.toggle("more", left > 4);
  const isWide = scroller.scrollWidth > scroller.clientWidth + 4;
  scrolled.previousElementSibling.hidden = !isWide;
  if (isWide) scroller.tabIndex = 0; else scroller.removeAttribute("tabindex");
}

function startTables() {
  every("table.numbers").forEach(makeSortable);
  const filters = byId("filters");
  if (filters) {
    filters.hidden = false;
    filters.addEventListener("input", filterTables);
    filters.addEventListener("submit", (event) => event.preventDefault());
    filters.addEventListener("reset", () => setTimeout(filterTables));
  }
  const watched = new ResizeObserver((entries) => entries.forEach((entry) => hintAt(entry.target.parentElement)));
  every(".scrolled > .scroller").forEach((scroller) => {
    watched.observe(scroller);
    scroller.addEventListener("scroll", () => hintAt(scroller.parentElement), { passive: true });
    hintAt(scroller.parentElement);
  });
}
