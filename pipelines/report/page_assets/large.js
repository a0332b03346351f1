// One image large, in a dialog: with its map or without, its neighbours by the arrow keys.

const large = document.getElementById("large");
let mapOn = true;

function openLarge(row) {
  state.open = rowCode(row);
  writeAddress(true);
  syncLarge();
}

function syncLarge() {
  if (!state.open) {
    if (large.open) large.close();
    return;
  }
  if (!large.open) large.showModal();
  renderLarge();
}

function renderLarge() {
  const row = rowOf(state.open);
  const place = shown.indexOf(row);
  field("large-title").textContent = rows.keys[row];
  const half = mapOn && hasPicture(row, "map") ? "map" : hasPicture(row, "image") ? "image" : "map";
  const stage = field("stage");
  const drawn = picture(row, half, stageSide(stage));
  drawn.setAttribute("role", "img");
  drawn.setAttribute("aria-label", `${half === "map" ? "Heat map over the image" : "Image"}, ${spokenText(row)}`);
  stage.replaceChildren(drawn);
  const both = hasPicture(row, "map") && hasPicture(row, "image");
  field("map").disabled = !both;
  field("map").setAttribute("aria-pressed", String(half === "map" && hasPicture(row, "map")));
  const [at, all] = [place + 1, shown.length].map((count) => count.toLocaleString("en"));
  field("position").textContent = place < 0 ? "not in the list" : `${at} of ${all}`;
  field("previous").disabled = place < 1;
  field("next").disabled = place < 0 || place + 1 >= shown.length;
  field("large-facts").replaceChildren(
    ...factsOf(row).flatMap(([name, text]) => [element("dt", {}, name), element("dd", {}, text)]),
  );
  const remarks = [];
  if (rows.flags[row] & OUTLINED) remarks.push("The white line goes around the true region.");
  if (rows.flags[row] & GONE) remarks.push("The original image was not found: the map stands alone.");
  field("large-note").textContent = remarks.join(" ");
  const { benchmark } = report.groups[rows.group[row]];
  const asked = severalBenchmarks ? ` --benchmark ${quoted(benchmark)}` : "";
  field("large-command").textContent = `zsad show RUN ${quoted(rows.keys[row])}${asked}`;
}

/** For a shell. */
function quoted(text) {
  return /^[\w./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

function stageSide(stage) {
  return Math.floor(Math.min(stage.clientWidth, Math.max(240, innerHeight * 0.78), report.size * 4));
}

function factsOf(row) {
  const group = rows.group[row];
  const cut = cuts[group];
  const changed = !Object.is(cut, startingCut(group));
  const { benchmark, category } = report.groups[group];
  return [
    ["Score", scoreText(row)],
    rows.error.has(row) && ["Why", rows.error.get(row)],
    ["Rank", `${rank[row].toLocaleString("en")} of ${report.rows.toLocaleString("en")} by score`],
    ["Cut", `${number(cut)}, ${changed ? "changed here" : report.sources[report.groups[group].source]}`],
    verdict(row) && ["Verdict", verdict(row)],
    ["Label", labelText(row)],
    ["Category", category],
    severalBenchmarks && ["Benchmark", benchmark],
    rows.other && [report.other, `${number(rows.other[row])}; ${apartText(row) || "no rank there"}`],
  ].filter(Boolean);
}

function step(by) {
  const place = shown.indexOf(rowOf(state.open)) + by;
  if (place < 0 || place >= shown.length) return;
  current = place;
  state.open = rowCode(shown[place]);
  writeAddress();
  renderLarge();
}

function toggleMap() {
  mapOn = !mapOn;
  renderLarge();
}

large.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.key === "ArrowLeft") step(-1);
  else if (event.key === "ArrowRight") step(1);
  else if (event.key.toLowerCase() === "m" && !field("map").disabled) toggleMap();
  else return;
  event.preventDefault();
});
large.addEventListener("close", () => {
  const place = shown.indexOf(rowOf(state.open));
  if (state.open) {
    state.open = "";
    writeAddress();
  }
  if (place >= 0) focusPlace(place);
});
large.addEventListener("click", (event) => {
  if (event.target === large) large.close(); // the ground around it
});
field("close").addEventListener("click", () => large.close());
field("previous").addEventListener("click", () => step(-1));
field("next").addEventListener("click", () => step(1));
field("map").addEventListener("click", toggleMap);
addEventListener("resize", () => large.open && renderLarge());
