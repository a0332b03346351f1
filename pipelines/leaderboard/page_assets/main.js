// Controls, keyboard and address: what happens is written to the state, and the state is drawn.

function renderPage() {
  renderControls();
  renderTable();
  syncDialog();
}

function change(changes) {
  Object.assign(state, changes);
  writeAddress();
  renderControls();
  renderTable();
}

// Controls

function radios(id, options, current, onChoose) {
  const fieldset = document.getElementById(id);
  fieldset.hidden = options.length < 2;
  const legend = fieldset.querySelector("legend");
  const focused = fieldset.contains(document.activeElement);
  const labels = options.map(([value, text]) => {
    const input = element("input", { type: "radio", name: id, value });
    input.checked = value === current;
    input.addEventListener("change", () => onChoose(value));
    return element("label", {}, input, element("span", {}, text));
  });
  fieldset.replaceChildren(legend, ...labels);
  if (focused) fieldset.querySelector("input:checked")?.focus();
}

function renderControls() {
  const groups = new Set(board.columns.map((column) => column.group).filter(hasFigures));
  const levels = [...new Set([...groups].map(levelOf))];
  const choose = (group) => {
    chooseColumn(group, state.metric);
    change({});
  };
  radios(
    "levels",
    levels.map((level) => [level, capital(level)]),
    levelOf(state.group),
    choose,
  );
  const rules = levelOf(state.group) === "image" ? Object.entries(RULES).filter(([group]) => groups.has(group)) : [];
  radios(
    "rules",
    rules.map(([group, rule]) => [group, capital(rule)]),
    state.group,
    choose,
  );
  const metrics = board.columns.filter((column) => column.group === state.group);
  radios(
    "metrics",
    metrics.map((column) => [column.metric, column.title]),
    state.metric,
    (metric) => change({ metric }),
  );
  const choices = [["all", "All"], ...domains.map((domain) => [domain, capital(domain)])];
  radios("domains", choices.length > 2 ? choices : [], state.domain, (domain) => change({ domain }));
  const search = document.getElementById("search");
  if (search.value !== state.search) search.value = state.search;
}

function sortBy(key) {
  const first = key === "name" ? "ascending" : "descending";
  const other = first === "ascending" ? "descending" : "ascending";
  change({ sort: key, order: state.sort === key && state.order === first ? other : first });
  document.querySelector(`[data-sort="${CSS.escape(key)}"]`)?.focus();
}

// Details

const dialog = document.getElementById("details");

function openDetails(benchmark, entry = "") {
  Object.assign(state, { open: benchmark, entry });
  writeAddress(true);
  syncDialog();
}

function syncDialog() {
  if (!state.open) {
    if (dialog.open) dialog.close();
    return;
  }
  renderDetails();
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
}

dialog.addEventListener("close", () => {
  const { open, entry } = state;
  document.getElementById("details-body").replaceChildren();
  if (open) {
    Object.assign(state, { open: "", entry: "" });
    writeAddress();
  }
  // The table may have been drawn anew since: back to the same place, not to the same element.
  const place = `[data-benchmark="${CSS.escape(open)}"]`;
  const cell = entry ? document.querySelector(`#board td ${place}[data-entry="${CSS.escape(entry)}"]`) : null;
  (cell ?? document.querySelector(`#board th ${place}`))?.focus();
});
dialog.addEventListener("click", (event) => {
  if (event.target === dialog) dialog.close(); // the ground around the panel
});
document.getElementById("close").addEventListener("click", () => dialog.close());

// The table

const table = document.getElementById("board");

table.addEventListener("click", (event) => {
  const sort = event.target.closest("[data-sort]");
  if (sort) return sortBy(sort.dataset.sort);
  const open =
    event.target.closest("[data-benchmark]") ?? event.target.closest("td")?.querySelector("[data-benchmark]");
  if (open) openDetails(open.dataset.benchmark, open.dataset.entry);
});

/** One stop of the Tab key for all cells; the arrow keys move among them. */
table.addEventListener("keydown", (event) => {
  const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
  const cell = event.target.closest("td");
  if (!step || !cell) return;
  event.preventDefault();
  const rows = [...table.querySelectorAll("tbody tr")];
  let row = rows.indexOf(cell.parentElement);
  let column = cell.cellIndex;
  for (;;) {
    row += step[0];
    column += step[1];
    if (rows[row]?.className === "block") continue;
    const next = rows[row]?.cells[column];
    if (!next || column < 1) return;
    const button = next.querySelector("button");
    if (button) {
      event.target.setAttribute("tabindex", "-1");
      button.setAttribute("tabindex", "0");
      button.focus();
      return;
    }
  }
});

// What stands around the table

function renderFrame() {
  const published = board.entries.length - runEntries.length;
  const parts = [plural(runEntries.length, "entry measured here", "entries measured here")];
  if (published) parts.push(plural(published, "published method"));
  parts.push(plural(board.benchmarks.length, "benchmark"));
  document.getElementById("summary").textContent = `${parts.join(" · ")}. All values in percent, higher is better.`;
  const untrained = board.entries.filter((entry) => entry.untrained).map((entry) => entry.name);
  const banner = document.getElementById("untrained");
  banner.hidden = !untrained.length;
  banner.textContent = `Untrained weights: the figures of ${untrained.join(", ")} mean nothing.`;
  document
    .getElementById("key")
    .replaceChildren(...readingKey().flatMap(([sign, text]) => [element("dt", {}, sign), element("dd", {}, text)]));
  document
    .getElementById("entries")
    .replaceChildren(
      ...runEntries.flatMap((entry) => [
        element("dt", {}, entry.name, entry.untrained ? element("span", { class: "badge" }, "untrained") : null),
        element(
          "dd",
          {},
          entry.made_by ?? entry.method,
          entry.seeds.length ? ` Seeds: ${entry.seeds.join(", ")}.` : "",
        ),
      ]),
    );
  const without = (board.published_left_out ?? []).map(({ benchmark, why }) => `${benchmark} (${why})`);
  const absent = document.getElementById("absent");
  absent.hidden = !without.length;
  absent.textContent = `Published figures left out: ${without.join("; ")}.`;
}

function readingKey() {
  const figures = board.benchmarks
    .flatMap((benchmark) => Object.values(benchmark.cells))
    .flatMap((cell) => Object.values(cell.mean ?? {}).flatMap((group) => Object.values(group ?? {})));
  const some = (test) => figures.some((figure) => figure && test(figure));
  const statuses = Object.keys(STATUS_MARKS).filter((status) => some((figure) => figure.status === status));
  const onOthers = board.benchmarks.some((benchmark) =>
    board.entries.some((entry) => lookup(benchmark.cells, entry.name) && isOnOtherImages(entry, benchmark)),
  );
  const groups = new Set(board.columns.map((column) => column.group));
  return [
    ["93.1", "mean over the benchmark's categories; bold: the best of those on the same images, by the digits shown"],
    some(hasInterval) && ["[90.4, 95.0]", "95 % interval: where another draw of as many test images would put it"],
    ["─●─", "value and interval on an axis that the column shares; a ring: a published figure"],
    some((figure) => isNumber(figure.spread)) && ["± 0.4", "standard deviation over the seeds"],
    some((figure) => figure.published) && [
      "Δ +0.3",
      "difference to the published figure of the same method, in percentage points; in brackets: on other images",
    ],
    [
      "9 of 15",
      "a mean over fewer benchmarks than the column: set in grey, not ranked, not comparable with the others",
    ],
    ["Shared", "mean over those benchmarks that every entry in the table has"],
    onOthers && [OTHER_IMAGES, "not on the published test set (see the remarks); of a mean: one of its values is not"],
    [DASH, "undefined (one class only, no masks) or not known; never a zero"],
    ...statuses.map((status) => [STATUS_MARKS[status], `${status}: ${STATUS_MEANINGS[status]}`]),
    groups.has("image_plain") && [
      "Score rule",
      "published: that of each method's paper, which may need all images of a category; plain: each image's own score",
    ],
    groups.has("pixel") && [
      "AUPRO",
      "MVTec's definition; AUPRO-200: the variant with 200 thresholds that most papers print",
    ],
  ].filter(Boolean);
}

document.getElementById("search").addEventListener("input", (event) => change({ search: event.target.value }));
document.getElementById("controls").addEventListener("submit", (event) => event.preventDefault());
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // the address holds the state of the view
  document.getElementById("scores").focus();
});
window.addEventListener("popstate", () => {
  readAddress();
  renderPage();
});

readAddress();
renderFrame();
renderPage();
