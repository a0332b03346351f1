// The panel behind a benchmark: entries, categories and defects, curves, paired comparisons, heat maps.

const hiddenCurves = new Set(); // names of entries whose curves are switched off
let shownCategory = ""; // of the curves
let panelEntries = []; // runs that have figures on the open benchmark

function renderDetails() {
  const benchmark = benchmarkByName.get(state.open);
  const column = currentColumn();
  panelEntries = runEntries.filter((entry) => lookup(benchmark.cells, entry.name));
  const images = isNumber(benchmark.expected_images) ? `${plural(benchmark.expected_images, "image")} expected` : null;
  document.getElementById("details-kicker").textContent = [capital(benchmark.domain), images]
    .filter(Boolean)
    .join(" · ");
  document.getElementById("details-title").textContent = benchmark.name;
  document
    .getElementById("details-body")
    .replaceChildren(
      columnChoice(benchmark),
      section("Entries", entriesPart(benchmark)),
      ...(panelEntries.length ? runParts(benchmark, column) : [note("No run here has evaluated this benchmark.")]),
    );
}

function runParts(benchmark, column) {
  return [
    section(`Paired comparisons: ${columnTitle(column)}`, comparisonsPart(benchmark)),
    section("Heat maps", heatMapsPart(benchmark)),
    section(`Categories: ${columnTitle(column)}`, categoriesPart(benchmark)),
    section("Curves", curvesPart(benchmark)),
  ];
}

function section(title, ...parts) {
  return element("section", {}, element("h3", {}, title), ...parts.flat());
}

function note(text) {
  return element("p", { class: "note" }, text);
}

function scrolling(table, label) {
  return element(
    "div",
    { class: "scroll", role: "region", "aria-label": `${label}, scrolls sideways`, tabindex: "0" },
    table,
  );
}

function choice(label, options, current, onChange) {
  const select = element(
    "select",
    {},
    ...options.map(([value, text]) => element("option", { value, selected: value === current }, text)),
  );
  select.addEventListener("change", () => onChange(select.value));
  return element("label", { class: "choice" }, label, select);
}

function columnChoice(benchmark) {
  const columns = board.columns.filter((column) => benchmark.levels.includes(levelOf(column.group)));
  const options = columns.map((column) => [`${column.group} ${column.metric}`, columnTitle(column)]);
  return choice("Figure", options, `${state.group} ${state.metric}`, (value) => {
    chooseColumn(...value.split(" "));
    writeAddress();
    renderControls();
    renderTable();
    renderDetails();
    document.querySelector("#details-body select").focus();
  });
}

/** All entries that have the figure, on one axis; where a published figure comes from. */
function entriesPart(benchmark) {
  const rows = board.entries.map((entry) => [entry, meanOf(entry, benchmark)]).filter(([, figure]) => figure);
  if (!rows.length) return note("No entry has this figure.");
  rows.sort(([, a], [, b]) => b.value - a.value);
  const axis = commonAxis(rows.filter(([entry]) => !entry.untrained).map(([, figure]) => figure));
  const body = rows.map(([entry, figure]) =>
    element(
      "tr",
      { class: `${entry.kind}${entry.name === state.entry ? " chosen" : ""}` },
      element(
        "th",
        { scope: "row" },
        entry.name,
        entry.untrained ? element("span", { class: "badge" }, "untrained") : null,
      ),
      element("td", { class: "number" }, percent(figure.value)),
      element("td", { class: "number soft" }, hasInterval(figure) ? range(figure.low, figure.high) : ""),
      element("td", { class: "wide" }, axis && !entry.untrained ? strip(figure, axis) : null),
      element("td", { class: "text" }, aboutFigure(entry, figure, benchmark)),
    ),
  );
  const head = [
    "Entry",
    "Value",
    "Interval",
    axis ? `${percent(axis.low)} to ${percent(axis.high)}` : "",
    "What it is",
  ];
  return scrolling(simpleTable(head, body), "Entries");
}

function aboutFigure(entry, figure, benchmark) {
  if (entry.kind === "published") {
    const origin = `${STATUS_MARKS[figure.status] ?? ""} ${figure.status}, ${figure.source}`;
    return [origin, ...remarksOf(entry, benchmark)].join("; ");
  }
  const cell = lookup(benchmark.cells, entry.name);
  const parts = [plural(cell.images, "image")];
  if (figure.runs > 1)
    parts.push(
      `mean of ${figure.runs} runs${isNumber(figure.spread) ? `, spread ± ${percent(figure.spread)}` : ""}`,
    );
  if (isNumber(figure.published?.difference)) {
    const { value, status, difference, same_test_set: same } = figure.published;
    parts.push(
      `published ${percent(value)} (${status}${same ? "" : ", other images"}), difference ${signed(difference)}`,
    );
  }
  return [...parts, ...remarksOf(entry, benchmark)].join("; ");
}

function simpleTable(head, rows) {
  return element(
    "table",
    { class: "simple" },
    element("thead", {}, element("tr", {}, ...head.map((title) => element("th", { scope: "col" }, title)))),
    element("tbody", {}, ...rows),
  );
}

function categoriesPart(benchmark) {
  const names = [
    ...new Set(panelEntries.flatMap((entry) => Object.keys(benchmark.cells[entry.name].categories ?? {}))),
  ];
  if (!names.length) return note("No categories.");
  const of = (entry, category) => lookup(benchmark.cells[entry.name].categories, category);
  const rows = [];
  for (const name of names) {
    const known = panelEntries.map((entry) => of(entry, name)).find(Boolean);
    const defects = [...new Set(panelEntries.flatMap((entry) => Object.keys(of(entry, name)?.defects ?? {})))];
    const below = defects.map((defect) => {
      const results = panelEntries.map((entry) => lookup(of(entry, name)?.defects, defect));
      const images = results.find(Boolean).images;
      return categoryRow(element("span", { class: "defect" }, defect), plural(images, "image"), results, {
        class: "below",
        hidden: true,
      });
    });
    const title = below.length ? foldButton(name, below) : element("span", {}, name);
    const counts = `${known.images.toLocaleString("en")}, ${known.anomalous.toLocaleString("en")} anomalous`;
    rows.push(
      categoryRow(
        title,
        counts,
        panelEntries.map((entry) => of(entry, name)),
        {},
      ),
      ...below,
    );
  }
  const table = simpleTable(["Category", "Images", ...panelEntries.map((entry) => entry.name)], rows);
  const folded = rows.some((row) => row.hidden)
    ? note("A category with ▸ opens into its types of defect; each is judged against the category's normal images.")
    : null;
  return [folded, scrolling(table, "Categories")].filter(Boolean);
}

function categoryRow(title, counts, results, attributes) {
  const cells = results.map((result) => {
    const figure = lookup(result, state.group, state.metric);
    if (!isNumber(figure?.value)) return element("td", { class: "number soft" }, DASH);
    const interval = hasInterval(figure)
      ? element("span", { class: "interval" }, range(figure.low, figure.high))
      : null;
    return element("td", { class: "number" }, percent(figure.value), interval);
  });
  return element(
    "tr",
    attributes,
    element("th", { scope: "row" }, title),
    element("td", { class: "soft count" }, counts),
    ...cells,
  );
}

function foldButton(name, rows) {
  const button = element("button", { type: "button", class: "fold", "aria-expanded": "false" }, name);
  button.addEventListener("click", () => {
    const open = button.getAttribute("aria-expanded") === "false";
    button.setAttribute("aria-expanded", String(open));
    for (const row of rows) row.hidden = !open;
  });
  return button;
}

function curvesPart(benchmark) {
  const ofEntries = lookup(details().curves, benchmark.name) ?? {};
  const entries = runEntries.filter((entry) => lookup(ofEntries, entry.name));
  const categories = [...new Set(entries.flatMap((entry) => Object.keys(ofEntries[entry.name])))];
  if (!categories.length) return note("No curves: these results come without them.");
  if (!categories.includes(shownCategory)) shownCategory = categories[0];
  const charts = element("div", { class: "charts" });
  const draw = () => charts.replaceChildren(...chartsOf(ofEntries, entries));
  const legend = element("div", { class: "legend", role: "group", "aria-label": "Entries in the charts" });
  for (const entry of entries) {
    const box = element("input", { type: "checkbox" });
    box.checked = !hiddenCurves.has(entry.name);
    box.addEventListener("change", () => {
      if (box.checked) hiddenCurves.delete(entry.name);
      else hiddenCurves.add(entry.name);
      draw();
    });
    legend.append(element("label", {}, box, swatch(runEntries.indexOf(entry)), entry.name));
  }
  const pick = choice(
    "Category",
    categories.map((name) => [name, name]),
    shownCategory,
    (name) => {
      shownCategory = name;
      draw();
    },
  );
  draw();
  const several = entries.some((entry) => entry.seeds.length > 1);
  return [
    element("div", { class: "row" }, pick, legend),
    charts,
    several ? note("Of several seeds, the curves are those of the first run.") : null,
  ].filter(Boolean);
}

function chartsOf(ofEntries, entries) {
  const rule = state.group === "image_plain" ? "image_plain_roc" : "image_roc";
  const kinds = [
    [rule, `Image ROC${rule === "image_plain_roc" ? ", plain score" : ""}`, "True-positive rate", 1],
    ["pixel_roc", "Pixel ROC", "True-positive rate", 1],
    ["pro", "PRO", "Mean overlap of regions", 0.3],
  ];
  return kinds.flatMap(([kind, title, yTitle, xMax]) => {
    const there = entries.filter((entry) => lookup(ofEntries, entry.name, shownCategory, kind));
    if (!there.length) return [];
    const curves = there
      .filter((entry) => !hiddenCurves.has(entry.name))
      .map((entry) => ({
        name: entry.name,
        index: runEntries.indexOf(entry),
        points: ofEntries[entry.name][shownCategory][kind],
      }));
    return [lineChart({ title, xTitle: "False-positive rate", yTitle, xMax, chance: xMax === 1, curves })];
  });
}

function comparisonsPart(benchmark) {
  const here = (pair) => pair.benchmark === benchmark.name;
  const pairs = board.comparisons.filter((pair) => here(pair) && isOfColumn(pair));
  const name = `${state.group}_${state.metric}`;
  const reasons = (board.not_compared ?? [])
    .filter((pair) => here(pair) && (!pair.columns.length || pair.columns.includes(name)))
    .map((pair) => note(`Not compared: ${pair.a} and ${pair.b} (${pair.why}).`));
  if (pairs.length) return [...comparisonsTable(pairs), ...reasons];
  return reasons.length ? reasons : note("None: a comparison needs two runs on exactly the same images.");
}

function isOfColumn(pair) {
  return pair.group === state.group && pair.metric === state.metric && isNumber(pair.difference);
}

/** Differences of pairs on one axis around zero. */
function comparisonsTable(pairs) {
  const ends = pairs.flatMap((pair) => [pair.low, pair.high, pair.difference].filter(isNumber));
  const reach = Math.max(...ends.map(Math.abs));
  const rows = pairs.map((pair) => {
    const figure = { value: pair.difference, low: pair.low, high: pair.high };
    const line = reach > 0 ? strip(figure, { low: -reach, high: reach }) : null;
    line?.classList.add("zero");
    const over = pair.benchmarks ? element("span", { class: "about" }, `over ${pair.benchmarks.join(", ")}`) : null;
    return element(
      "tr",
      {},
      element("th", { scope: "row" }, `${pair.a} ${MINUS} ${pair.b}`, over),
      element("td", { class: "number" }, signed(pair.difference)),
      element("td", { class: "number soft" }, hasInterval(pair) ? range(pair.low, pair.high, signed) : DASH),
      element("td", { class: "wide" }, line),
      element("td", { class: "number soft" }, pValue(pair.p)),
      element("td", { class: "number soft" }, isNumber(pair.images) ? pair.images.toLocaleString("en") : DASH),
    );
  });
  const bound = percent(reach);
  const head = ["Pair", "Difference", "Interval", `${MINUS}${bound} to +${bound}`, "p", "Images"];
  return [
    note(
      "Percentage points, on the same images. Right of the line the first of the pair is better. " +
        "p is two-sided and not adjusted for the number of comparisons.",
    ),
    scrolling(simpleTable(head, rows), "Paired comparisons"),
  ];
}

/** Below the main table: pairs of runs over all benchmarks that could be compared. */
function renderOverallComparisons() {
  const pairs = (board.overall_comparisons ?? []).filter(isOfColumn);
  const place = document.getElementById("overall");
  place.hidden = !pairs.length;
  place.replaceChildren(
    ...(pairs.length
      ? [
          element("h2", {}, `Paired comparisons over benchmarks: ${columnTitle(currentColumn())}`),
          ...comparisonsTable(pairs),
        ]
      : []),
  );
}

function pValue(p) {
  if (!isNumber(p)) return DASH;
  return p < 0.0005 ? "< 0.001" : p.toFixed(3);
}

function heatMapsPart(benchmark) {
  const ofEntries = lookup(details().maps, benchmark.name) ?? {};
  const entries = runEntries.filter((entry) => lookup(ofEntries, entry.name));
  if (!entries.length) return note("None: these results come without predictions.");
  const first = entries.find((entry) => entry.name === state.entry) ?? entries[0];
  const pictures = element("div", {});
  const draw = (name) => pictures.replaceChildren(...picturesOf(ofEntries[name]));
  draw(first.name);
  const pick =
    entries.length > 1
      ? choice(
          "Entry",
          entries.map(({ name }) => [name, name]),
          first.name,
          draw,
        )
      : null;
  return [pick, pictures].filter(Boolean);
}

function picturesOf(maps) {
  const parts = maps.note ? [note(maps.note)] : [];
  if (!maps.samples.length) return parts;
  const cards = maps.samples.map((sample) => {
    const picture = (source, alt) =>
      element("img", { src: source, alt, width: sample.width, height: sample.height, decoding: "async" });
    const label = { 0: "normal", 1: "anomalous" }[sample.label] ?? "label unknown";
    const defect = sample.label === 1 ? `, ${sample.defect}` : "";
    return element(
      "figure",
      { class: "sample" },
      element(
        "div",
        { class: "pair" },
        sample.image ? picture(sample.image, `Image ${sample.key}`) : null,
        picture(sample.overlay, `Heat map of ${sample.key}${sample.outlined ? ", true region outlined" : ""}`),
      ),
      element(
        "figcaption",
        {},
        element("strong", {}, capital(sample.reason)),
        element("span", {}, `${sample.category}: ${label}${defect}; plain score ${sample.score.toFixed(3)}`),
        element("span", { class: "file" }, sample.key),
      ),
    );
  });
  return [...parts, scaleLegend(maps), element("div", { class: "samples" }, ...cards)];
}

function scaleLegend(maps) {
  const ticks = [maps.low, (maps.low + maps.high) / 2, maps.high].map((value) => element("span", {}, value.toFixed(3)));
  const outlined = maps.samples.some((sample) => sample.outlined) ? " White outline: the true region." : "";
  const mixed = maps.samples.some((sample) => sample.image)
    ? " Over an image the colours are mixed with its grey."
    : "";
  return element(
    "div",
    { class: "scale" },
    element(
      "div",
      { class: "bar" },
      element("img", { src: details().legend, alt: "Colours from dark blue over red to pale yellow" }),
      element("div", { class: "ticks" }, ...ticks),
    ),
    note(
      "Value of the anomaly map (possible: 0 to 1). One scale for these pictures: their own lowest to highest value." +
        mixed +
        outlined,
    ),
  );
}
