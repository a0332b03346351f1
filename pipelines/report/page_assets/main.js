// What happens is written to the state, and the state is drawn.

function renderPage() {
  const { shown: next, counts, scores } = chosenRows();
  renderControls(counts, scores);
  renderGallery(next);
  const note = KIND_NOTES[state.kind];
  field("status").textContent = `${plural(next.length, "image")}${note ? `: ${note}` : ""}`;
  field("nothing").hidden = next.length > 0;
  field("nothing").textContent = report.rows ? "No image matches these filters." : "The run has no images.";
}

function change(changes) {
  Object.assign(state, changes);
  writeAddress();
  renderPage();
}

function renderFrame() {
  const name = [report.run, report.method].filter(Boolean).join(", ");
  const failed = rows.error.size ? `, ${rows.error.size.toLocaleString("en")} not scored` : "";
  const other = report.other ? ` · compared with ${report.other}` : "";
  field("summary").textContent = `${name} · ${plural(report.rows, "image")}${failed} · ${plural(
    report.groups.length,
    "category",
    "categories",
  )}${other}`;
  for (const [id, value] of [
    ["scale-low", report.scale[0]],
    ["large-low", report.scale[0]],
    ["scale-high", report.scale[1]],
    ["large-high", report.scale[1]],
  ]) {
    field(id).textContent = number(value);
  }
  const outlined = rows.flags.some((flags) => flags & OUTLINED) ? " A white line goes around the true region." : "";
  field("scale-note").textContent =
    "One scale for all pictures, from the lowest values of the run's maps to their highest peaks; what lies beyond " +
    `takes the colour of the end.${outlined}`;
}

addEventListener("popstate", () => {
  readAddress();
  renderPage();
  syncLarge();
});
field("filters-toggle").addEventListener("click", () => {
  const open = field("filters").classList.toggle("open");
  field("filters-toggle").setAttribute("aria-expanded", String(open));
});
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // the address holds the state of the view
  focusPlace(current);
});

if (report) {
  readAddress();
  renderFrame();
  renderPage();
  syncLarge();
} else {
  field("broken").hidden = false;
  field("broken").textContent = "The file index.js is not beside this page: copy the whole folder of the report.";
}
