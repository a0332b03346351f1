// The index that lies beside the page: columns of numbers, and the words that its codes stand for.

const report = typeof reportIndex === "string" ? JSON.parse(reportIndex) : null;

const NO_PICTURE = 0xffff;
const GONE = 1; // flags of a picture
const OUTLINED = 2;
const LABELS = ["normal", "anomalous", "unknown"];
const DASH = "–";

function decoded(name, type) {
  const text = report.columns[name];
  if (text === undefined) return null;
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  return new type(bytes.buffer);
}

/** A key begins as the one before it does. */
function keysOf(shared, rest) {
  const keys = new Array(rest.length);
  let last = "";
  for (let row = 0; row < rest.length; row++) {
    last = last.slice(0, shared[row]) + rest[row];
    keys[row] = last;
  }
  return keys;
}

/** Of each row the number of its file, and of each file its first row. */
function filesOf(counts) {
  const file = new Uint32Array(report.rows);
  let start = 0;
  counts.forEach((count, number) => {
    file.fill(number, start, start + count);
    start += count;
  });
  return file;
}

function readColumns() {
  return {
    keys: keysOf(decoded("shared", Uint8Array), report.rest),
    file: filesOf(report.files),
    score: decoded("score", Float64Array),
    std: decoded("std", Float32Array),
    group: decoded("group", Uint16Array),
    label: decoded("label", Uint8Array),
    defect: decoded("defect", Uint16Array),
    cell: decoded("cell", Uint16Array),
    width: decoded("width", Uint16Array),
    height: decoded("height", Uint16Array),
    flags: decoded("flags", Uint8Array),
    other: decoded("other", Float64Array),
    apart: decoded("apart", Float32Array),
    error: new Map(report.failed.map(([row, number]) => [row, report.errors[number]])),
  };
}

const rows = report && readColumns();
const severalBenchmarks = report && new Set(report.groups.map((group) => group.benchmark)).size > 1;

function groupName(number) {
  const { benchmark, category } = report.groups[number];
  return severalBenchmarks ? `${benchmark} · ${category}` : category;
}

function number(value, digits = 3) {
  return Number.isFinite(value) ? value.toFixed(digits) : DASH;
}

/** "0.812 ± 0.020" */
function scoreText(row) {
  if (rows.error.has(row)) return "not scored";
  const spread = rows.std && Number.isFinite(rows.std[row]) ? ` ± ${number(rows.std[row])}` : "";
  return number(rows.score[row]) + spread;
}
