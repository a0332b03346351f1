// The main table: a row an entry, a column a benchmark, the chosen figure in the cells.

const STATUS_MARKS = { "first-hand": "●", "second-hand": "◐", "re-run": "○" };
const OTHER_IMAGES = "‡";
const STATUS_MEANINGS = {
  "first-hand": "printed by the method's own authors",
  "second-hand": "quoted from the authors by a later work",
  "re-run": "measured by others with the authors' programme",
};

/** The benchmarks of the chosen level and domain, by domain. */
function shownBenchmarks() {
  const level = levelOf(state.group);
  return domains
    .filter((domain) => state.domain === "all" || domain === state.domain)
    .flatMap((domain) => board.benchmarks.filter((each) => each.domain === domain && each.levels.includes(level)));
}

/** Columns of figures: means first, then the benchmarks. */
function shownColumns(benchmarks, entries) {
  const present = domains.filter((domain) => benchmarks.some((benchmark) => benchmark.domain === domain));
  const meanColumn = (key, title, over) => ({ key: `mean:${key}`, title, over, mean: true });
  const means = benchmarks.length > 1 ? [meanColumn("all", "All", benchmarks)] : [];
  // Entries that cover different benchmarks can be compared on those that all of them have.
  const shared = benchmarks.filter((benchmark) => entries.every((entry) => isWhole(entry, benchmark)));
  if (entries.length > 1 && shared.length > 1 && shared.length < benchmarks.length)
    means.push(meanColumn("shared", "Shared", shared));
  if (present.length > 1) {
    for (const domain of present) {
      const over = benchmarks.filter((benchmark) => benchmark.domain === domain);
      if (over.length > 1) means.push(meanColumn(domain, capital(domain), over));
    }
  }
  const columns = benchmarks.map((benchmark) => ({
    key: `benchmark:${benchmark.name}`,
    title: benchmark.name,
    benchmark,
  }));
  return [...means, ...columns];
}

function matchingEntries() {
  const words = state.search.toLowerCase().split(/\s+/).filter(Boolean);
  return board.entries.filter((entry) => {
    const text = `${entry.name} ${entry.method} ${entry.made_by ?? ""}`.toLowerCase();
    return words.every((word) => text.includes(word));
  });
}

function sorted(entries, facts) {
  const direction = state.order === "ascending" ? 1 : -1;
  if (state.sort === "name") return [...entries].sort((a, b) => direction * a.name.localeCompare(b.name, "en"));
  const figures = facts.get(state.sort)?.figures;
  if (!figures) return entries;
  return [...entries].sort((a, b) => {
    const [one, other] = [figures.get(a.name)?.value, figures.get(b.name)?.value];
    if (one === undefined || other === undefined) return (one === undefined) - (other === undefined);
    return direction * (one - other);
  });
}

function renderTable() {
  const matching = matchingEntries();
  const benchmarks = shownBenchmarks();
  const entries = matching.filter((entry) => benchmarks.some((benchmark) => meanOf(entry, benchmark)));
  const columns = shownColumns(benchmarks, entries);
  const compared = comparedPairs();
  const facts = new Map(columns.map((column) => [column.key, columnFacts(column, entries, compared)]));
  const table = document.getElementById("board");
  const footnotes = new Map();
  const blocks = [
    ["run", "Measured here"],
    ["published", "Published figures"],
  ].map(([kind, title]) => {
    const rows = sorted(
      entries.filter((entry) => entry.kind === kind),
      facts,
    );
    return rows.length ? tableBlock(title, rows, columns, facts, footnotes) : null;
  });
  table.replaceChildren(
    element("caption", { class: "visually-hidden" }, `${columnTitle(currentColumn())}, in percent`),
    tableHead(columns),
    ...blocks.filter(Boolean),
  );
  table.querySelector("td button")?.setAttribute("tabindex", "0");
  renderFootnotes(footnotes);
  renderOverallComparisons();
  const without = matching.filter((entry) => !entries.includes(entry)).map((entry) => entry.name);
  const nothing = document.getElementById("nothing");
  nothing.hidden = matching.length > 0 && !without.length;
  nothing.textContent = matching.length
    ? `Not in the table, since they have no such figure: ${without.join(", ")}.`
    : "No entry matches the search.";
  document.getElementById("status").textContent =
    `${columnTitle(currentColumn())}: ${plural(entries.length, "entry", "entries")}`;
}

function tableHead(columns) {
  const groups = [];
  for (const column of columns) {
    const title = column.mean ? "Mean over" : capital(column.benchmark.domain);
    if (groups.at(-1)?.title === title) groups.at(-1).span += 1;
    else groups.push({ title, span: 1 });
  }
  return element(
    "thead",
    {},
    element(
      "tr",
      { class: "groups" },
      element("td", { class: "name" }),
      ...groups.map(({ title, span }) =>
        element("th", { colspan: span, scope: "colgroup", class: "first" }, element("span", {}, title)),
      ),
    ),
    element(
      "tr",
      {},
      headCell("name", "Entry", "name"),
      ...columns.map((column, index) => {
        const starts = index === 0 || groupOf(column) !== groupOf(columns[index - 1]);
        return headCell(column.key, column.title, starts ? "first" : "", column);
      }),
    ),
  );
}

function groupOf(column) {
  return column.mean ? "mean" : column.benchmark.domain;
}

function headCell(key, title, style, column) {
  const current = state.sort === key;
  const arrow = current ? (state.order === "ascending" ? "▲" : "▼") : "";
  const sort = element(
    "button",
    { type: "button", class: "sort", "data-sort": key },
    title,
    element("span", { class: "arrow", "aria-hidden": "true" }, arrow),
  );
  const below = column?.benchmark
    ? element(
        "button",
        {
          type: "button",
          class: "open",
          "data-benchmark": column.title,
          "aria-haspopup": "dialog",
          "aria-label": `Details of ${column.title}`,
        },
        "Details",
      )
    : column && element("span", { class: "under" }, plural(column.over.length, "benchmark"));
  return element("th", { scope: "col", class: style, "aria-sort": current ? state.order : "none" }, sort, below);
}

function tableBlock(title, rows, columns, facts, footnotes) {
  const heading = element(
    "tr",
    { class: "block" },
    element("th", { scope: "rowgroup", class: "name" }, title),
    element("td", { colspan: columns.length }),
  );
  const body = rows.map((entry) =>
    element(
      "tr",
      { class: entry.kind },
      rowHead(entry, facts.get(state.sort)?.ranks.get(entry.name)),
      ...columns.map((column, index) => {
        const starts = index === 0 || groupOf(column) !== groupOf(columns[index - 1]);
        return tableCell(entry, column, facts.get(column.key), footnotes, starts ? "first" : "");
      }),
    ),
  );
  return element("tbody", {}, heading, ...body);
}

function rowHead(entry, rank) {
  const about = [];
  if (entry.kind === "run" && entry.method !== entry.name) about.push(entry.method);
  if (entry.seeds.length > 1) about.push(plural(entry.seeds.length, "seed"));
  return element(
    "th",
    { scope: "row", class: "name" },
    element("span", { class: "rank", "aria-hidden": "true" }, rank ? String(rank) : ""),
    element(
      "span",
      { class: "who" },
      element("span", { class: "entry" }, entry.name),
      about.length ? element("span", { class: "about" }, about.join(" · ")) : null,
      entry.untrained ? element("span", { class: "badge" }, "untrained") : null,
    ),
  );
}

function tableCell(entry, column, facts, footnotes, style) {
  const figure = facts.figures.get(entry.name);
  if (!figure)
    return element(
      "td",
      { class: `${style} none` },
      element("span", { "aria-hidden": "true" }, DASH),
      hiddenText("undefined"),
    );
  const best = facts.best.has(entry.name);
  const partial = column.mean && figure.benchmarks < column.over.length;
  const remarks = column.benchmark ? remarksOf(entry, column.benchmark) : [];
  const number = remarks.length ? footnote(footnotes, remarks.join("; "), `${entry.name} on ${column.title}`) : null;
  const elsewhere = column.benchmark ? isOnOtherImages(entry, column.benchmark) : figure.elsewhere;
  const marks = (elsewhere ? OTHER_IMAGES : "") + (figure.status ? (STATUS_MARKS[figure.status] ?? "?") : "");
  const value = [
    percent(figure.value),
    marks ? element("span", { class: "status", "aria-hidden": "true" }, marks) : null,
    number ? element("sup", { "aria-hidden": "true" }, String(number)) : null,
  ];
  const spoken = spokenFigure(entry, column, figure, { best, elsewhere, remarks });
  const cell = element(
    "td",
    { class: [style, best ? "best" : "", partial ? "partial" : ""].join(" ").trim() },
    column.benchmark
      ? element(
          "button",
          {
            type: "button",
            class: "value",
            tabindex: "-1",
            "aria-label": spoken,
            "aria-haspopup": "dialog",
            "data-benchmark": column.title,
            "data-entry": entry.name,
          },
          ...value,
        )
      : element("span", { class: "value" }, ...value),
  );
  if (hasInterval(figure))
    cell.append(element("span", { class: "interval", "aria-hidden": "true" }, range(figure.low, figure.high)));
  if (facts.axis && !entry.untrained) cell.append(strip(figure, facts.axis));
  const extra = [];
  if (isNumber(figure.spread)) extra.push(`±\u2009${percent(figure.spread)}`);
  if (isNumber(figure.published?.difference)) {
    const difference = `Δ\u2009${signed(figure.published.difference)}`;
    extra.push(figure.published.same_test_set ? difference : `(${difference})`);
  }
  if (partial) extra.push(`${figure.benchmarks} of ${column.over.length}`);
  if (extra.length) {
    const hidden = column.benchmark ? "true" : null;
    cell.append(
      element("span", { class: "extra", "aria-hidden": hidden }, ...extra.map((text) => element("span", {}, text))),
    );
  }
  return cell;
}

/** A cell in one sentence, for those who hear it. */
function spokenFigure(entry, column, figure, { best, elsewhere, remarks }) {
  const parts = [`${column.title}, ${entry.name}: ${percent(figure.value)} percent`];
  if (best) parts.push("best of the column");
  if (hasInterval(figure)) parts.push(`interval ${percent(figure.low)} to ${percent(figure.high)}`);
  if (isNumber(figure.spread)) parts.push(`spread over seeds ${percent(figure.spread)}`);
  if (isNumber(figure.published?.difference)) {
    parts.push(`difference to published ${signed(figure.published.difference)}`);
    if (!figure.published.same_test_set) parts.push("published on other images");
  }
  if (figure.status) parts.push(figure.status);
  if (elsewhere) parts.push("not on the published test set");
  return [parts.join(", "), ...remarks.map((remark) => `remark: ${remark}`)].join("; ");
}

/** Interval and value on the axis that all rows of the column share. */
function strip(figure, axis) {
  const place = (value) => `${(100 * (value - axis.low)) / (axis.high - axis.low)}%`;
  const line = element("span", { class: "strip", "aria-hidden": "true" });
  if (hasInterval(figure)) {
    const span = element("span", { class: "span" });
    span.style.left = place(figure.low);
    span.style.right = `calc(100% - ${place(figure.high)})`;
    line.append(span);
  }
  const dot = element("span", { class: "dot" });
  dot.style.left = place(figure.value);
  line.append(dot);
  return line;
}

/** The number of a cell's remarks; equal ones share one. */
function footnote(footnotes, remark, where) {
  if (!footnotes.has(remark)) footnotes.set(remark, []);
  footnotes.get(remark).push(where);
  return [...footnotes.keys()].indexOf(remark) + 1;
}

function renderFootnotes(footnotes) {
  document.getElementById("remarks-part").hidden = footnotes.size === 0;
  document
    .getElementById("remarks")
    .replaceChildren(
      ...[...footnotes].map(([remark, places]) =>
        element("li", {}, `${capital(remark)}. `, element("span", { class: "where" }, places.join("; "))),
      ),
    );
}
