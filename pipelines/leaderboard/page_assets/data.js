// The page's data, the words it is shown in, and the state of the view, which stands in the address.

const board = JSON.parse(document.getElementById("leaderboard-data").textContent);

const RULES = { image: "published", image_plain: "plain" };
const DOMAINS = ["industrial", "medical"]; // first, in this order; data of one's own follows
const DASH = "–";
const MINUS = "−";

let parsedDetails = null;

/** Curves and pictures, parsed when the first panel opens: they are most of the page's size. */
function details() {
  parsedDetails ??= JSON.parse(document.getElementById("details-data").textContent);
  return parsedDetails;
}

/** A value by a key that comes from outside: names such as "constructor" must not find what objects inherit. */
function lookup(object, ...keys) {
  for (const key of keys) {
    if (object === null || object === undefined || !Object.hasOwn(object, key)) return undefined;
    object = object[key];
  }
  return object ?? undefined;
}

function isNumber(value) {
  return typeof value === "number";
}

/** A fraction in percent with one decimal. */
function percent(value) {
  return isNumber(value) ? oneDecimal(100 * value) : DASH;
}

/** As leaderboard.md prints it: of two equally near ends the even one, where toFixed takes the larger. */
function oneDecimal(number) {
  const size = Math.abs(number);
  const isTie = size % 1 === 0.25; // the other tie that a binary fraction can be, .75, goes to the even .8 anyhow
  return (number < 0 ? "-" : "") + (isTie ? Math.floor(size) + 0.2 : size).toFixed(1);
}

/** The mean as leaderboard.md has it: what each addition rounds off is added in the end (Neumaier). */
function mean(values) {
  let [sum, lost] = [0, 0];
  for (const value of values) {
    const next = sum + value;
    lost += Math.abs(sum) >= Math.abs(value) ? sum - next + value : value - next + sum;
    sum = next;
  }
  return (sum + lost) / values.length;
}

/** A difference of fractions in percentage points, with its sign; what rounds to zero has none. */
function signed(value) {
  const text = oneDecimal(100 * Math.abs(value));
  return text === "0.0" ? "0.0" : (value > 0 ? "+" : MINUS) + text;
}

function range(low, high, write = percent) {
  return `[${write(low)}, ${write(high)}]`;
}

function hasInterval(figure) {
  return isNumber(figure.low) && isNumber(figure.high);
}

// What there is

const benchmarkByName = new Map(board.benchmarks.map((benchmark) => [benchmark.name, benchmark]));
const entryByName = new Map(board.entries.map((entry) => [entry.name, entry]));
const runEntries = board.entries.filter((entry) => entry.kind === "run");
const domains = [...new Set(board.benchmarks.map((benchmark) => benchmark.domain))].sort(
  (a, b) => (DOMAINS.indexOf(a) + 1 || 9) - (DOMAINS.indexOf(b) + 1 || 9),
);

function levelOf(group) {
  return group === "pixel" ? "pixel" : "image";
}

/** The mean of an entry on a benchmark: {value, low, high, ...}; undefined where there is none. */
function meanOf(entry, benchmark, group = state.group, metric = state.metric) {
  const figure = lookup(benchmark.cells, entry.name, "mean", group, metric);
  return isNumber(figure?.value) ? figure : undefined;
}

/** "Image AUROC", or "Image AUROC, plain score": a column in words. */
function columnTitle(column) {
  const level = capital(levelOf(column.group));
  return `${level} ${column.title}${column.group === "image_plain" ? ", plain score" : ""}`;
}

function currentColumn() {
  return board.columns.find((column) => column.group === state.group && column.metric === state.metric);
}

function hasFigures(group) {
  return board.benchmarks.some((benchmark) =>
    Object.values(benchmark.cells).some((cell) =>
      Object.values(cell.mean?.[group] ?? {}).some((figure) => isNumber(figure?.value)),
    ),
  );
}

/** What a reader has to know about a cell: the run's remarks, and a mean over fewer categories than there are. */
function remarksOf(entry, benchmark) {
  const cell = lookup(benchmark.cells, entry.name);
  const remarks = [...(cell?.remarks ?? [])];
  const all = Object.keys(cell?.categories ?? {}).length;
  const defined = meanOf(entry, benchmark)?.categories;
  if (isNumber(defined) && defined < all) {
    remarks.push(`mean over ${defined} of ${all} categories; undefined in the others`);
  }
  return remarks;
}

// The state of the view

const DEFAULT_STATE = {
  group: board.columns.map((column) => column.group).find(hasFigures) ?? board.columns[0].group,
  metric: board.columns[0].metric,
  domain: "all",
  search: "",
  sort: "mean:all", // or "name", or "benchmark:<name>"
  order: "descending",
  open: "", // benchmark whose details are shown
  entry: "", // entry that they start with
};
const state = { ...DEFAULT_STATE };

function readAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  for (const [name, value] of Object.entries(DEFAULT_STATE)) state[name] = given.get(name) ?? value;
  if (!currentColumn()) {
    state.group = DEFAULT_STATE.group;
    state.metric = DEFAULT_STATE.metric;
  }
  if (!domains.includes(state.domain)) state.domain = "all";
  if (state.order !== "ascending") state.order = "descending";
  if (!benchmarkByName.has(state.open)) state.open = "";
  if (!entryByName.has(state.entry)) state.entry = "";
}

/** Another group or metric, kept among the columns that there are. */
function chooseColumn(group, metric) {
  const columns = board.columns.filter((column) => column.group === group);
  const column = columns.find((each) => each.metric === metric) ?? columns[0];
  if (!column) return;
  state.group = column.group;
  state.metric = column.metric;
}
