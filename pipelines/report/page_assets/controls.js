// The controls beside the gallery: each writes to the state, and all is drawn from it.

const BARS = 60;

const field = (id) => document.getElementById(id);

function radios(id, options, current, onChoose) {
  const fieldset = field(id);
  fieldset.hidden = options.length < 2;
  const focused = fieldset.contains(document.activeElement);
  const labels = options.map(([value, ...content]) => {
    const input = element("input", { type: "radio", name: id, value });
    input.checked = value === current;
    input.addEventListener("change", () => onChoose(value));
    return element("label", {}, input, element("span", {}, ...content));
  });
  fieldset.replaceChildren(fieldset.querySelector("legend"), ...labels);
  if (focused) fieldset.querySelector("input:checked")?.focus();
}

function options(select, pairs, current) {
  const choices = pairs.map(([value, text]) => element("option", { value, selected: value === current }, text));
  select.replaceChildren(...choices);
}

function renderControls(counts, scores) {
  const kinds = presentKinds().map((kind) => [
    kind,
    KINDS[kind],
    element("span", { class: "count" }, counts[kind].toLocaleString("en")),
  ]);
  radios("kinds", kinds, state.kind, chooseKind);
  const labels = LABELS.filter((_, label) => rows.label.includes(label));
  radios(
    "labels",
    labels.length > 1 ? [["", "All"], ...labels.map((label) => [label, capital(label)])] : [],
    state.label,
    (label) => change({ label }),
  );
  radios(
    "shows",
    Object.entries(SHOWS),
    state.show,
    (show) => change({ show }),
  );
  const groups = report.groups.map((_, number) => [groupCode(number), groupName(number)]);
  field("group-field").hidden = groups.length < 2;
  options(field("group"), [["", `All ${groups.length} categories`], ...groups], state.group);
  options(
    field("sort"),
    presentSorts().map((sort) => [sort, SORTS[sort]]),
    state.sort,
  );
  for (const name of ["search", "low", "high"]) {
    if (field(name).value !== state[name]) field(name).value = state[name];
  }
  renderHistogram(scores);
  renderCuts();
}

function chooseKind(kind) {
  change(kind === "disagree" ? { kind, sort: "disagreement" } : { kind });
}

const SVG = "http://www.w3.org/2000/svg";

/** How many of the images have which score; the range that is chosen in colour. */
function renderHistogram(scores) {
  const svg = field("histogram");
  const [low, high] = scoreBounds;
  const counts = new Array(BARS).fill(0);
  for (const score of scores) counts[barOf(score)]++;
  const most = Math.max(1, ...counts);
  const [from, to] = [bound(state.low, low), bound(state.high, high)].map(barOf);
  svg.setAttribute("viewBox", `0 0 ${BARS} 40`);
  svg.replaceChildren(
    ...counts.map((count, bar) => {
      const rect = document.createElementNS(SVG, "rect");
      // Square roots: a few images at the upper end are what this is about.
      const height = count ? Math.max(1.5, 40 * Math.sqrt(count / most)) : 0;
      const place = { x: bar + 0.1, width: 0.8, y: 40 - height, height };
      for (const [name, value] of Object.entries(place)) rect.setAttribute(name, value);
      if (bar >= from && bar <= to) rect.setAttribute("class", "within");
      return rect;
    }),
  );
}

function barOf(score) {
  const [low, high] = scoreBounds;
  return Math.max(0, Math.min(BARS - 1, Math.floor(((score - low) / (high - low || 1)) * BARS)));
}

const scoreBounds = rows && boundsOf(rows.score);

function boundsOf(values) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return low <= high ? [low, high] : [0, 1];
}

/** A field for the cut of each category that is shown. */
function renderCuts() {
  const fieldset = field("cuts");
  const shownGroups = report.groups.map((_, number) => number).filter(
    (number) => !state.group || groupCode(number) === state.group,
  );
  const drawn = [...fieldset.querySelectorAll("input")];
  if (drawn.map((input) => input.dataset.group).join() === shownGroups.join()) {
    drawn.forEach(showCut);
    return;
  }
  const sources = new Set(shownGroups.map((number) => report.groups[number].source));
  const noteOf = (source) => element("span", { class: "note" }, report.sources[source]);
  const lines = shownGroups.map((number) => {
    const input = element("input", { inputmode: "decimal", autocomplete: "off", size: 7, "data-group": number });
    showCut(input);
    input.addEventListener("change", () => {
      changeCut(number, bound(input.value, NaN));
      showCut(input);
      change({});
    });
    const note = sources.size > 1 ? noteOf(report.groups[number].source) : null;
    return element("label", {}, element("span", { class: "cut-name" }, groupName(number)), input, note);
  });
  const same = sources.size === 1 ? noteOf([...sources][0]) : "";
  fieldset.replaceChildren(
    fieldset.querySelector("legend"),
    element("div", { class: "cut-list" }, ...lines),
    same,
  );
}

function showCut(input) {
  const cut = cuts[input.dataset.group];
  input.value = Number.isFinite(cut) ? String(Number(cut.toFixed(5))) : "";
}

field("group").addEventListener("change", (event) => change({ group: event.target.value }));
field("sort").addEventListener("change", (event) => change({ sort: event.target.value }));
for (const name of ["search", "low", "high"]) {
  field(name).addEventListener("input", (event) => change({ [name]: event.target.value }));
}
field("controls").addEventListener("submit", (event) => event.preventDefault());
