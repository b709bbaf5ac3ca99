"use strict";
// The page without this script is whole: it adds sorting, filters, large figures, and pictures with sliders.

const byId = (id) => document.getElementById(id);
const every = (selector, root = document) => [...root.querySelectorAll(selector)];

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

// Colours: those of the system until the switch is used, then the reader's choice, kept where the browser allows it.
function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

function nameTheme() {
  byId("theme").textContent = isDark() ? "Light colours" : "Dark colours";
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  nameTheme();
}

function startTheme() {
  try {
    const kept = localStorage.getItem("dfinet-bench-theme");
    if (kept === "dark" || kept === "light") setTheme(kept);
  } catch { /* storage is closed to pages of files in some browsers: the choice then lasts as long as the page */ }
  byId("theme").hidden = false;
  nameTheme();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", nameTheme);
  byId("theme").addEventListener("click", () => {
    setTheme(isDark() ? "light" : "dark");
    try { localStorage.setItem("dfinet-bench-theme", document.documentElement.dataset.theme); } catch { /* as above */ }
  });
}

// One dialog shows figures and canvases large; the arrow keys step through those of the same kind.
const large = { list: [], place: 0 };

function showLarge(list, place) {
  large.list = list;
  large.place = (place + list.length) % list.length;
  const shown = list[large.place]();
  const picture = byId("large-picture");
  picture.src = shown.src;
  picture.alt = shown.alt;
  picture.classList.toggle("pixels", shown.pixels);
  byId("large-words").textContent = shown.words;
  byId("large-count").textContent = `${large.place + 1} of ${list.length}`;
  if (!byId("large").open) byId("large").showModal();
}

function startFigures() {
  const links = every("figure a.large");
  const list = links.map((link) => () => {
    const image = link.querySelector("img");
    const words = link.parentElement.querySelector("figcaption .words").textContent;
    return { src: image.src, alt: image.alt, words, pixels: false };
  });
  links.forEach((link, place) => {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      showLarge(list, place);
    });
    const download = link.parentElement.querySelector("a.png");
    download.href = link.querySelector("img").src;  // the picture of this page, so that the link works without files
  });
  const step = (by) => showLarge(large.list, large.place + by);
  byId("large-before").addEventListener("click", () => step(-1));
  byId("large-after").addEventListener("click", () => step(1));
  byId("large-close").addEventListener("click", () => byId("large").close());
  byId("large").addEventListener("click", (event) => { if (event.target === byId("large")) byId("large").close(); });
  byId("large").addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft") step(-1);
    if (event.key === "ArrowRight") step(1);
  });
}

// What only a script can show is hidden until it runs; the last script says that the page is ready.
document.addEventListener("DOMContentLoaded", () => {
  startTheme();
  startFigures();
  startTables();
  startImages();
  document.documentElement.dataset.ready = "yes";
});
