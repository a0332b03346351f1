// The gallery: of all tiles, those near the screen are in the page; the arrow keys move among all.

const gallery = document.getElementById("gallery");
const GAP = 14;
const CAPTION = 71; // pixels below the pictures of a tile
const INSET = 8;
const NARROWEST = { both: 290, map: 156, image: 156 };
const SPARE = 2; // rows of tiles above and below the screen
const HIGHEST = 15e6; // pixels that browsers still lay out rightly

let shown = []; // rows, in their order
let current = 0; // place of the tile that the Tab key reaches
const tiles = new Map(); // place -> element
let grid = { measured: 0, columns: 1, width: 0, height: 1, side: 0 };

function measure() {
  const width = gallery.clientWidth;
  const columns = Math.max(1, Math.floor((width + GAP) / (NARROWEST[state.show] + GAP)));
  const tile = Math.floor((width - GAP * (columns - 1)) / columns);
  const inner = tile - 2 * INSET - 2;
  const side = Math.floor(state.show === "both" ? (inner - 4) / 2 : inner);
  grid = { measured: width, columns, width: tile, side, height: side + CAPTION + 2 * INSET + 2 };
  gallery.style.height = `${Math.min(HIGHEST, Math.ceil(shown.length / columns) * (grid.height + GAP))}px`;
}

/** Draws other rows, from the top, or the same ones in another size. */
function renderGallery(nextShown) {
  const same = nextShown === shown;
  shown = nextShown;
  if (!same) current = 0;
  for (const tile of tiles.values()) tile.remove();
  tiles.clear();
  measure();
  const above = gallery.getBoundingClientRect().top + scrollY - stickyHeight();
  if (!same && scrollY > above) scrollTo(0, Math.max(0, above));
  renderTiles();
}

function stickyHeight() {
  return document.querySelector(".toolbar").offsetHeight;
}

/** Places of the tiles that are, or nearly are, on the screen. */
function range() {
  const line = grid.height + GAP;
  const top = -gallery.getBoundingClientRect().top;
  const first = Math.max(0, Math.floor(top / line) - SPARE);
  const last = Math.max(0, Math.ceil((top + innerHeight) / line) + SPARE);
  const most = Math.floor(HIGHEST / line) * grid.columns;
  return [first * grid.columns, Math.min(shown.length, most, last * grid.columns)];
}

function renderTiles() {
  const [start, end] = range();
  for (const [place, tile] of tiles) {
    const kept = (place >= start && place < end) || tile.contains(document.activeElement);
    if (!kept) {
      tile.remove();
      tiles.delete(place);
    }
  }
  for (let place = start; place < end; place++) if (!tiles.has(place)) addTile(place);
  setTabStop();
}

/** In the order of their places, which is the one that readers of the page hear. */
function addTile(place) {
  const tile = tileOf(place);
  let after = place + 1;
  while (after < place + 400 && !tiles.has(after)) after++;
  gallery.insertBefore(tile, tiles.get(after) ?? null);
  tiles.set(place, tile);
}

function tileOf(place) {
  const row = shown[place];
  const halves = state.show === "both" ? ["image", "map"] : [state.show];
  const pair = element("span", { class: "pair" }, ...halves.map((half) => picture(row, half, grid.side)));
  pair.style.height = `${grid.side}px`;
  const [name, folder] = nameAndFolder(rows.keys[row]);
  const said = verdict(row);
  const wrong = said === "missed" || said === "false alarm";
  const button = element(
    "button",
    { type: "button", class: "tile", "data-place": place, tabindex: "-1", "aria-label": spokenText(row) },
    pair,
    element(
      "span",
      { class: "line" },
      element("strong", {}, scoreText(row).split(" ± ")[0]),
      element("span", { class: "soft" }, spreadOf(row)),
      said ? element("span", { class: wrong ? "mark wrong" : "mark" }, said) : null,
    ),
    element("span", { class: "line name" }, folder ? element("span", { class: "soft" }, folder) : null, name),
    element("span", { class: "line soft" }, lastLine(row)),
  );
  button.title = rows.keys[row];
  const item = element("li", { "aria-setsize": shown.length, "aria-posinset": place + 1 }, button);
  item.style.width = `${grid.width}px`;
  item.style.height = `${grid.height}px`;
  item.style.left = `${(place % grid.columns) * (grid.width + GAP)}px`;
  item.style.top = `${Math.floor(place / grid.columns) * (grid.height + GAP)}px`;
  return item;
}

function spreadOf(row) {
  const spread = scoreText(row).split(" ± ")[1];
  return spread ? `± ${spread}` : "";
}

/** The end of a key tells most: it is never cut, the folders before it are. */
function nameAndFolder(key) {
  const slash = key.lastIndexOf("/");
  return slash < 0 ? [key, ""] : [key.slice(slash), key.slice(0, slash)];
}

function lastLine(row) {
  if (rows.error.has(row)) return rows.error.get(row);
  const far = state.sort === "disagreement" || state.kind === "disagree" ? apartText(row) : "";
  if (far) return far;
  return hasLabels.some(Boolean) ? `${labelText(row)} · ${groupName(rows.group[row])}` : groupName(rows.group[row]);
}

/** One stop of the Tab key: the current tile where it is drawn, else the first that is. */
function setTabStop() {
  const stop = tiles.has(current) ? current : Math.min(...tiles.keys());
  for (const [place, tile] of tiles) tile.firstChild.tabIndex = place === stop ? 0 : -1;
}

function focusPlace(place) {
  current = Math.max(0, Math.min(shown.length - 1, place));
  const top = gallery.getBoundingClientRect().top + Math.floor(current / grid.columns) * (grid.height + GAP);
  const room = stickyHeight() + GAP;
  if (top < room) scrollBy(0, top - room);
  else if (top + grid.height > innerHeight) scrollBy(0, top + grid.height + GAP - innerHeight);
  renderTiles();
  tiles.get(current)?.firstChild.focus({ preventScroll: true });
}

gallery.addEventListener("keydown", (event) => {
  const page = grid.columns * Math.max(1, Math.floor(innerHeight / (grid.height + GAP)));
  const moves = {
    ArrowLeft: current - 1,
    ArrowRight: current + 1,
    ArrowUp: current - grid.columns,
    ArrowDown: current + grid.columns,
    PageUp: current - page,
    PageDown: current + page,
    Home: 0,
    End: shown.length - 1,
  };
  if (event.ctrlKey || event.altKey || event.metaKey || !has(moves, event.key)) return;
  event.preventDefault();
  if (moves[event.key] >= 0 && moves[event.key] < shown.length) focusPlace(moves[event.key]);
});
gallery.addEventListener("focusin", (event) => {
  const tile = event.target.closest(".tile");
  if (tile) current = Number(tile.dataset.place);
});
gallery.addEventListener("click", (event) => {
  const tile = event.target.closest(".tile");
  if (tile) openLarge(shown[Number(tile.dataset.place)]);
});

let waiting = false;

function soon() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    renderTiles();
  });
}

addEventListener("scroll", soon, { passive: true });
new ResizeObserver(() => {
  if (gallery.clientWidth !== grid.measured) renderGallery(shown);
}).observe(gallery);
