// Pictures cut out of the sheets, and what is said of an image in words.

/** A sheet's address: names of folders hold percent signs themselves. */
function sheetAddress(row) {
  const [columns, lines] = report.sheet;
  const name = report.names[rows.file[row]].split("/").map(encodeURIComponent).join("/");
  return `${name}-${Math.floor(rows.cell[row] / (columns * lines))}.webp`;
}

function hasPicture(row, half) {
  return rows.cell[row] !== NO_PICTURE && !(half === "image" && rows.flags[row] & GONE);
}

/** The image itself or its map over it, as large as fits into a square of `side` pixels; or why there is none. */
function picture(row, half, side) {
  if (!hasPicture(row, half)) {
    const without = rows.cell[row] === NO_PICTURE ? "no picture" : "original not found";
    const why = rows.error.has(row) ? "not scored" : without;
    const empty = element("div", { class: "empty" }, why);
    empty.style.width = empty.style.height = `${side}px`;
    return empty;
  }
  const [columns, lines] = report.sheet;
  const cell = rows.cell[row] % (columns * lines);
  // Half a pixel is left off at each edge: a browser that enlarges mixes it with what lies beside it on the sheet.
  const scale = side / Math.max(1, rows.width[row] - 1, rows.height[row] - 1);
  const x = ((cell % columns) * 2 + (half === "image" ? 0 : 1)) * report.size;
  const y = Math.floor(cell / columns) * report.size;
  const image = element("img", { alt: "", draggable: "false", decoding: "async", src: sheetAddress(row) });
  image.style.width = `${columns * 2 * report.size * scale}px`;
  image.style.left = `${-(x + 0.5) * scale}px`;
  image.style.top = `${-(y + 0.5) * scale}px`;
  const crop = element("div", { class: "crop" }, image);
  crop.style.width = `${Math.max(1, Math.floor((rows.width[row] - 1) * scale))}px`;
  crop.style.height = `${Math.max(1, Math.floor((rows.height[row] - 1) * scale))}px`;
  image.addEventListener("error", () => crop.replaceChildren(element("span", { class: "missing" }, "sheet not found")));
  return crop;
}

/** "missed", "false alarm" or "above cut"; empty where there is nothing to say. */
function verdict(row) {
  if (rows.error.has(row)) return "";
  if (isOf("misses", row)) return "missed";
  if (isOf("alarms", row)) return "false alarm";
  return isAbove(row) ? "above cut" : "";
}

/** "anomalous (scratch)" */
function labelText(row) {
  const label = LABELS[rows.label[row]];
  const defect = rows.defect ? report.defects[rows.defect[row]] : undefined;
  return defect && rows.label[row] === 1 && defect !== label ? `${label} (${defect})` : label;
}

/** How far the ranks that two runs give an image lie apart; empty where one of them has none. */
function apartText(row) {
  const apart = rows.apart?.[row];
  if (!Number.isFinite(apart)) return "";
  if (Math.abs(apart) < 0.0005) return "same rank in both runs";
  const share = `${(100 * Math.abs(apart)).toFixed(1)} %`;
  return `${share} of the category ${apart > 0 ? "higher" : "lower"} than in ${report.other}`;
}

function spokenText(row) {
  const parts = [
    `Rank ${rank[row]}`,
    rows.error.has(row)
      ? `not scored: ${rows.error.get(row)}`
      : `score ${scoreText(row).replace("±", "plus or minus")}`,
    rows.keys[row],
    groupName(rows.group[row]),
    `label ${labelText(row)}`,
    verdict(row),
    apartText(row),
    rows.flags[row] & OUTLINED ? "true region outlined" : "",
  ];
  return parts.filter(Boolean).join(", ");
}
