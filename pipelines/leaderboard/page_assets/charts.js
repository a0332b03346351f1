// Line charts as SVG: axes, grid, and lines that differ by colour and by dash.

const SVG = "http://www.w3.org/2000/svg";
const LINE_STYLES = 8; // colours in the style sheet; a further round of entries gets other dashes
const DASHES = ["", "7 4", "2 3", "10 3 2 3"];

function svgElement(tag, attributes = {}, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** Class and dash of the entry that is number `index`. Neighbours differ in both. */
function lineStyle(index) {
  const dash = DASHES[(index + Math.floor(index / LINE_STYLES)) % DASHES.length];
  return { class: `line line-${index % LINE_STYLES}`, ...(dash ? { "stroke-dasharray": dash } : {}) };
}

/** A short piece of an entry's line, for the legend. */
function swatch(index) {
  return svgElement(
    "svg",
    { class: "swatch", viewBox: "0 0 32 8", width: "32", height: "8", "aria-hidden": "true" },
    svgElement("line", { x1: "1", y1: "4", x2: "31", y2: "4", ...lineStyle(index) }),
  );
}

/**
 * A chart of curves over [0, xMax] x [0, 1].
 * `curves`: [{name, index, points: [x values, y values]}]; `chance` draws the diagonal of guessing.
 */
function lineChart({ title, xTitle, yTitle, xMax, chance, curves }) {
  const [width, height, left, bottom, top, right] = [340, 300, 44, 42, 10, 12];
  const x = (value) => left + (value / xMax) * (width - left - right);
  const y = (value) => height - bottom - value * (height - bottom - top);
  const chart = svgElement("svg", {
    class: "chart",
    viewBox: `0 0 ${width} ${height}`,
    role: "img",
    "aria-label": `${title} of ${curves.map((curve) => curve.name).join(", ") || "no entry"}; areas: see the tables`,
  });
  for (const across of ticks(xMax)) {
    chart.append(
      svgElement("line", { class: "grid", x1: x(across), y1: y(0), x2: x(across), y2: y(1) }),
      svgElement("text", { class: "tick", x: x(across), y: y(0) + 15, "text-anchor": "middle" }, String(across)),
    );
  }
  for (const up of ticks(1)) {
    chart.append(
      svgElement("line", { class: "grid", x1: x(0), y1: y(up), x2: x(xMax), y2: y(up) }),
      svgElement("text", { class: "tick", x: x(0) - 7, y: y(up) + 4, "text-anchor": "end" }, String(up)),
    );
  }
  if (chance) chart.append(svgElement("line", { class: "chance", x1: x(0), y1: y(0), x2: x(xMax), y2: y(1) }));
  for (const { name, index, points } of curves) {
    const path = points[0].map((across, i) => `${x(across).toFixed(1)},${y(points[1][i]).toFixed(1)}`).join(" ");
    const line = svgElement("polyline", { points: path, ...lineStyle(index) });
    line.append(svgElement("title", {}, name));
    chart.append(line);
  }
  chart.append(
    svgElement("line", { class: "axis", x1: x(0), y1: y(0), x2: x(xMax), y2: y(0) }),
    svgElement("line", { class: "axis", x1: x(0), y1: y(0), x2: x(0), y2: y(1) }),
    svgElement("text", { class: "axis-title", x: x(xMax / 2), y: height - 6, "text-anchor": "middle" }, xTitle),
    svgElement(
      "text",
      { class: "axis-title", transform: `translate(12 ${y(0.5)}) rotate(-90)`, "text-anchor": "middle" },
      yTitle,
    ),
  );
  return element("figure", { class: "chart-box" }, element("figcaption", {}, title), chart);
}

/** Round numbers from 0 to `end`: steps of 0.2, or of 0.1 on a short axis. */
function ticks(end) {
  const tenths = end > 0.5 ? 2 : 1;
  const count = Math.round((10 * end) / tenths);
  return Array.from({ length: count + 1 }, (_, i) => (i * tenths) / 10);
}
