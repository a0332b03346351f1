// What is shown and in which order: the state stands in the address, rows are chosen and sorted by it.

const KINDS = {
  all: "All images",
  flagged: "Above the cut",
  misses: "Misses",
  alarms: "False alarms",
  disagree: "Runs disagree",
  failed: "Not scored",
};
const KIND_NOTES = {
  flagged: "score above the category's cut",
  misses: "anomalous, and not above the cut",
  alarms: "normal, and above the cut",
  disagree: "ranks in the category a quarter of it or more apart",
  failed: "with the reason why",
};
const DISAGREEMENT = 0.25; // of the category, between the ranks of two runs
const SORTS = {
  score: "highest score",
  "score-up": "lowest score",
  uncertainty: "largest deviation",
  disagreement: "largest disagreement",
  key: "key",
};
const SHOWS = { both: "Both", map: "Heat map", image: "Image" };

const DEFAULT_STATE = {
  kind: "all",
  group: "", // benchmark/category, each percent-encoded; empty: all
  label: "",
  search: "",
  low: "",
  high: "",
  sort: "score",
  show: "both",
  cuts: "", // JSON: group -> cut, of those that were changed
  open: "", // benchmark/key, each percent-encoded, of the image that is shown large
};
const state = { ...DEFAULT_STATE };

function has(table, name) {
  return Object.hasOwn(table, name);
}

function encodedPair(benchmark, name) {
  return `${encodeURIComponent(benchmark)}/${encodeURIComponent(name)}`;
}

function groupCode(number) {
  return encodedPair(report.groups[number].benchmark, report.groups[number].category);
}

function rowCode(row) {
  return encodedPair(report.groups[rows.group[row]].benchmark, rows.keys[row]);
}

let rowByCode = null;

/** The row of what rowCode gives; undefined where there is none. */
function rowOf(code) {
  rowByCode ??= new Map(rows.keys.map((_, row) => [rowCode(row), row]));
  return rowByCode.get(code);
}

function readAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  for (const [name, value] of Object.entries(DEFAULT_STATE)) state[name] = given.get(name) ?? value;
  if (!has(KINDS, state.kind)) state.kind = "all";
  if (!has(SORTS, state.sort)) state.sort = "score";
  if (!has(SHOWS, state.show)) state.show = "both";
  if (!LABELS.includes(state.label)) state.label = "";
  if (!report.groups.some((_, number) => groupCode(number) === state.group)) state.group = "";
  if (state.open && rowOf(state.open) === undefined) state.open = "";
  readCuts();
}

// Cuts

let cuts = []; // of each group; NaN: none

function startingCut(number) {
  return report.groups[number].cut ?? NaN;
}

function readCuts() {
  cuts = report.groups.map((_, number) => startingCut(number));
  let changed;
  try {
    changed = Object.entries(JSON.parse(state.cuts || "{}"));
  } catch {
    changed = [];
  }
  for (const [code, cut] of changed) {
    const number = report.groups.findIndex((_, each) => groupCode(each) === code);
    if (number >= 0 && Number.isFinite(cut)) cuts[number] = cut;
  }
}

function changeCut(number, cut) {
  cuts[number] = Number.isFinite(cut) ? cut : startingCut(number);
  const changed = cuts.map((each, group) => [groupCode(group), each]).filter(([, each], group) => {
    return Number.isFinite(each) && each !== startingCut(group);
  });
  state.cuts = changed.length ? JSON.stringify(Object.fromEntries(changed)) : "";
}

function isAbove(row) {
  return rows.score[row] > cuts[rows.group[row]];
}

/** Whether a row is of the kind that the filter `kind` shows. */
function isOf(kind, row) {
  if (kind === "all") return true;
  if (kind === "failed") return rows.error.has(row);
  if (kind === "disagree") return Math.abs(rows.apart[row]) >= DISAGREEMENT;
  if (kind === "flagged") return isAbove(row);
  if (rows.error.has(row)) return false;
  return kind === "misses" ? rows.label[row] === 1 && !isAbove(row) : rows.label[row] === 0 && isAbove(row);
}

// Rows

/** Rows by their scores, highest first, those without one last; of equal scores by key. Made once. */
const byKey = rows && sorted(rows.keys.map((_, row) => row), (a, b) => (rows.keys[a] < rows.keys[b] ? -1 : 1));
const byScore = rows && sorted(byKey, (a, b) => falling(rows.score[a], rows.score[b]));
const rank = new Uint32Array(rows ? report.rows : 0); // by score, from 1
byScore?.forEach((row, place) => (rank[row] = place + 1));

function sorted(list, compare) {
  return Array.from(list).sort(compare);
}

function falling(a, b) {
  const [x, y] = [a, b].map((value) => (Number.isFinite(value) ? value : -Infinity));
  return x === y ? 0 : y > x ? 1 : -1;
}

const orders = {};

function inOrder(sort) {
  if (sort === "score") return byScore;
  if (sort === "key") return byKey;
  if (sort === "uncertainty") orders[sort] ??= sorted(byScore, (a, b) => falling(rows.std[a], rows.std[b]));
  if (sort === "disagreement") {
    orders[sort] ??= sorted(byScore, (a, b) => falling(Math.abs(rows.apart[a]), Math.abs(rows.apart[b])));
  }
  if (sort === "score-up") {
    orders[sort] ??= [
      ...byScore.filter((row) => Number.isFinite(rows.score[row])).reverse(),
      ...byScore.filter((row) => !Number.isFinite(rows.score[row])),
    ];
  }
  return orders[sort];
}

function bound(text, otherwise) {
  const value = text.trim() === "" ? NaN : Number(text);
  return Number.isFinite(value) ? value : otherwise;
}

let lowerKeys = null; // made by the first search

/** {shown: rows in their order, counts: of each kind, scores: of all but those that the score range leaves out}. */
function chosenRows() {
  const group = report.groups.findIndex((_, number) => groupCode(number) === state.group);
  const label = LABELS.indexOf(state.label);
  const search = state.search.toLowerCase();
  if (search) lowerKeys ??= rows.keys.map((key) => key.toLowerCase());
  const [low, high] = [bound(state.low, -Infinity), bound(state.high, Infinity)];
  const ranged = low > -Infinity || high < Infinity;
  const counts = Object.fromEntries(presentKinds().map((kind) => [kind, 0]));
  const [shown, scores] = [[], []];
  for (const row of inOrder(state.sort)) {
    if (group >= 0 && rows.group[row] !== group) continue;
    if (label >= 0 && rows.label[row] !== label) continue;
    if (search && !lowerKeys[row].includes(search)) continue;
    const ofKind = isOf(state.kind, row);
    if (ofKind && !rows.error.has(row)) scores.push(rows.score[row]);
    if (ranged && !(rows.score[row] >= low && rows.score[row] <= high)) continue;
    for (const kind in counts) if (isOf(kind, row)) counts[kind]++;
    if (ofKind) shown.push(row);
  }
  return { shown, counts, scores };
}

const hasLabels = [0, 1].map((label) => rows?.label.includes(label));

function presentKinds() {
  return Object.keys(KINDS).filter(
    (kind) =>
      (kind !== "misses" || hasLabels[1]) &&
      (kind !== "alarms" || hasLabels[0]) &&
      (kind !== "disagree" || rows.other) &&
      (kind !== "failed" || rows.error.size),
  );
}

function presentSorts() {
  return Object.keys(SORTS).filter(
    (sort) => (sort !== "uncertainty" || rows.std) && (sort !== "disagreement" || rows.other),
  );
}
