// Elements and words that all pages use, the address, and light or dark.

/** A new element. Children are elements or text, and text is never read as markup. */
function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return node;
}

function hiddenText(text) {
  return element("span", { class: "visually-hidden" }, text);
}

function plural(count, one, many = `${one}s`) {
  return `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
}

function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** Puts what a page's `state` has of its own into the address, where a link or a new visit finds it. */
function writeAddress(asNewPage = false) {
  const changed = Object.entries(state).filter(([name, value]) => value !== DEFAULT_STATE[name]);
  const hash = `#${new URLSearchParams(changed)}`;
  if (hash === (location.hash || "#")) return;
  if (asNewPage) history.pushState(null, "", hash);
  else history.replaceState(null, "", hash);
}

// Light or dark

const theme = document.getElementById("theme");

function applyTheme(dark) {
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  theme.setAttribute("aria-pressed", String(dark));
}

function storedTheme() {
  try {
    return localStorage.getItem("theme"); // a page opened as a file may have no storage
  } catch {
    return null;
  }
}

theme.addEventListener("click", () => {
  const dark = document.documentElement.dataset.theme !== "dark";
  applyTheme(dark);
  try {
    localStorage.setItem("theme", dark ? "dark" : "light");
  } catch {
    // the choice then lasts as long as the page
  }
});

const prefersDark = matchMedia("(prefers-color-scheme: dark)");
applyTheme((storedTheme() ?? (prefersDark.matches ? "dark" : "light")) === "dark");
prefersDark.addEventListener("change", () => storedTheme() ?? applyTheme(prefersDark.matches));
