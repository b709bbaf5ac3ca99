// Pictures: decoded when they are looked at, and drawn at the threshold and round of the sliders.

const HIT = [86, 180, 233], MISSED = [240, 228, 66], FALSE = [213, 60, 0];  // told apart in grey by their brightness
const decoded = new Map();

function pixelsOf(kind, data) {
  if (!decoded.has(data)) {
    decoded.set(data, (async () => {
      const image = new Image();
      image.src = `data:image/${kind};base64,${data}`;
      await image.decode();
      const canvas = element("canvas", { width: image.naturalWidth, height: image.naturalHeight });
      const context = canvas.getContext("2d", { willReadFrequently: true });
      context.drawImage(image, 0, 0);
      return context.getImageData(0, 0, canvas.width, canvas.height);
    })());
    if (decoded.size > 200) decoded.delete(decoded.keys().next().value);
  }
  return decoded.get(data);
}

// The pixels with one colour each, and how many are hits, missed and false at that step.
function decide(map, mask, step) {
  const counts = { hits: 0, missed: 0, wrong: 0 };
  const drawn = new ImageData(map.width, map.height);
  for (let at = 0; at < map.data.length; at += 4) {
    const predicted = map.data[at] >= step, real = mask.data[at] > 127;
    const colour = predicted && real ? HIT : real ? MISSED : predicted ? FALSE : [0, 0, 0];
    if (predicted && real) counts.hits += 1; else if (real) counts.missed += 1; else if (predicted) counts.wrong += 1;
    drawn.data.set([...colour, 255], at);
  }
  return { drawn, counts };
}

function wordsOf({ hits, missed, wrong }) {
  const union = hits + missed + wrong;
  return `IoU ${union ? (hits / union).toFixed(3) : "not defined"}: ${hits} pixels hit, ${missed} missed, ${wrong} false`;
}

function tile(title) {
  const canvas = element("canvas", { width: 1, height: 1 });
  const button = element("button", { type: "button" }, canvas);
  const name = element("b"), words = element("span");
  const made = { root: element("figure", { className: "tile" }, button, element("figcaption", {}, name, " ", words)),
    canvas, button, name, words, at: 0 };
  retitle(made, title);
  return made;
}

function retitle(made, title) {
  made.name.textContent = title;
  made.button.setAttribute("aria-label", `${title}, open large`);
}

function openLarge(tiles, place) {
  const shown = tiles.filter((each) => !each.root.hidden);
  showLarge(shown.map((each) => () => ({
    src: each.canvas.toDataURL(), alt: each.name.textContent, pixels: true,
    words: `${each.name.textContent} ${each.words.textContent}`,
  })), shown.indexOf(tiles[place]));
}

function linkLarge(tiles) {
  tiles.forEach((each, place) => each.button.addEventListener("click", () => openLarge(tiles, place)));
}

function paint(made, pixels, words) {
  made.canvas.width = pixels.width;
  made.canvas.height = pixels.height;
  made.canvas.getContext("2d").putImageData(pixels, 0, 0);
  made.words.textContent = words;
}

// A map in a tile: as it is, or decided at the step. A later call overtakes one that is still decoding.
async function paintMap(made, shown, method, options) {
  const at = made.at += 1;
  const maps = shown.maps[method];
  if (!maps) {
    if (made.at === at) paint(made, new ImageData(1, 1), "no map stored");
    return;
  }
  const place = roundPlace(shown.rounds[method], options.round);
  const [map, mask] = await Promise.all([pixelsOf("png", maps[place]), pixelsOf("png", shown.mask)]);
  if (made.at !== at) return;
  const { drawn, counts } = decide(map, mask, options.step);
  const rounds = shown.rounds[method];
  const round = rounds.length > 1 ? `round ${rounds[place]}; ` : "";
  paint(made, options.asMap ? map : drawn, round + wordsOf(counts));
}

// The stored round that is nearest below the wanted one; a network with fewer rounds stays at its last.
function roundPlace(rounds, wanted) {
  const below = rounds.findLastIndex((round) => round <= wanted);
  return below < 0 ? rounds.length - 1 : below;
}

async function paintScene(image, mask, shown) {
  const at = image.at += 1;
  const [grey, real] = await Promise.all([pixelsOf("webp", shown.image), pixelsOf("png", shown.mask)]);
  if (image.at !== at) return;
  paint(image, grey, `${grey.width} × ${grey.height} pixels`);
  paint(mask, real, "");
}

const thresholdWords = (data, step) =>
  step === data.step ? `${data.threshold} (scoring)` : (step / 256).toFixed(3);

const countOf = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;

const option = (text, value) => element("option", { textContent: text, value });

function fill(select, texts) {
  select.replaceChildren(...texts.map((text, place) => option(text, place)));
}

// Sliders of threshold and round, which both views have.
function sliders(prefix, onChange) {
  const step = byId(`${prefix}-threshold`), round = byId(`${prefix}-round`), asMap = byId(`${prefix}-map`);
  const state = { data: null };
  const read = () => ({ step: Number(step.value), round: Number(round.value), asMap: asMap.checked });
  const tell = () => {
    const words = thresholdWords(state.data, Number(step.value));
    byId(`${prefix}-threshold-value`).textContent = words;
    step.setAttribute("aria-valuetext", words);
    byId(`${prefix}-round-value`).textContent = round.value;
  };
  [step, round, asMap].forEach((input) => input.addEventListener("input", () => { tell(); onChange(); }));
  const reset = (data) => {
    state.data = data;
    step.value = data.step;
    const most = Math.max(1, ...Object.values(data.embedded).flatMap((shown) => Object.values(shown.rounds).flat()));
    round.max = most;
    round.value = most;
    round.closest("label").parentElement.hidden = most === 1;
    tell();
  };
  return { read, reset };
}

// Places of the methods of which the page holds any map, in their order.
const withMaps = (data) => [...new Set(Object.values(data.embedded).flatMap((shown) => Object.keys(shown.maps)))]
  .map(Number).sort((one, other) => one - other);

// The gallery: the images with maps of every round, of one method.
function startGallery(all) {
  const datasets = all.filter((data) => Object.keys(data.embedded).length);
  byId("gallery").hidden = !datasets.length;
  if (!datasets.length) return;
  const rows = byId("gallery-rows"), method = byId("gallery-method"), dataset = byId("gallery-dataset");
  let data = datasets[0], painted = [];
  const repaint = () => painted.forEach(({ shown, map }) => paintMap(map, shown, method.value, controls.read()));
  const controls = sliders("gallery", repaint);
  const placesOf = (number) => {
    const withMaps = Object.entries(data.embedded).filter(([, shown]) => shown.maps[number]);
    const withRounds = withMaps.filter(([, shown]) => shown.rounds[number].length > 1);
    return (withRounds.length ? withRounds : withMaps).slice(0, 6);
  };
  const rebuild = () => {
    const tiles = [], scenes = [];
    painted = placesOf(method.value).map(([place, shown]) => {
      const [image, mask, map] = [tile(data.names[place]), tile("Ground truth"), tile(data.methods[method.value].label)];
      tiles.push(image, mask, map);
      scenes.push(element("div", { className: "scene" }, image.root, mask.root, map.root));
      paintScene(image, mask, shown);
      return { shown, map };
    });
    rows.replaceChildren(...scenes);
    linkLarge(tiles);
    repaint();
  };
  const choose = () => {
    data = datasets[dataset.value];
    method.replaceChildren(...withMaps(data).map((place) => option(data.methods[place].label, place)));
    controls.reset(data);
    rebuild();
  };
  fill(dataset, datasets.map((each) => each.dataset));
  dataset.closest("label").hidden = datasets.length === 1;
  dataset.addEventListener("input", choose);
  method.addEventListener("input", rebuild);
  choose();
}

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

const ORDERS = {
  mean: { words: "IoU, mean of all methods", of: (data, place) => mean(data.methods.map((each) => each.iou[place])) },
  a: { words: "IoU of A", of: (data, place, a) => data.methods[a].iou[place] },
  b: { words: "IoU of B", of: (data, place, a, b) => data.methods[b].iou[place] },
  aLoses: { words: "where A is worse than B", of: (data, place, a, b) => data.methods[a].iou[place] - data.methods[b].iou[place] },
  bLoses: { words: "where B is worse than A", of: (data, place, a, b) => data.methods[b].iou[place] - data.methods[a].iou[place] },
  missed: { words: "targets that A misses", of: (data, place, a) => -data.methods[a].missed[place] },
  alarms: { words: "false alarms of A", of: (data, place, a) => -data.methods[a].alarms[place] },
  wrong: { words: "wrong pixels of A", of: (data, place, a) => -data.methods[a].wrong[place] },
};

// The browser: every test image, worst first; those that the page holds are drawn.
function startBrowser(datasets) {
  byId("images").hidden = !datasets.length;
  if (!datasets.length) return;
  const [dataset, a, b, order, list] = ["dataset", "a", "b", "order", "list"].map((name) => byId(`images-${name}`));
  const onlyDrawn = byId("images-drawn"), words = byId("images-words");
  const tiles = ["Image", "Ground truth", "A", "B"].map(tile);
  byId("images-tiles").append(...tiles.map((each) => each.root));
  linkLarge(tiles);
  let data = datasets[0];
  const show = () => {
    const place = Number(list.value);
    const shown = data.embedded[place];
    const numbers = (each) => `${each.label}: IoU ${(each.iou[place] / 1000).toFixed(3)}, ${each.missed[place]} missed, ` +
      countOf(each.alarms[place], "false alarm");
    words.textContent = list.value === "" ? "No image fits." :
      `${data.names[place]}: ${countOf(data.targets[place], "target")}. ${numbers(data.methods[a.value])}. ` +
      `${numbers(data.methods[b.value])}.` + (shown ? "" : " Its pictures are not in this page.");
    tiles.forEach((each) => { each.root.hidden = !shown; });
    if (!shown) return;
    paintScene(tiles[0], tiles[1], shown);
    [a, b].forEach((select, number) => {
      retitle(tiles[2 + number], `${"AB"[number]}: ${data.methods[select.value].label}`);
      paintMap(tiles[2 + number], shown, select.value, controls.read());
    });
  };
  const controls = sliders("images", show);
  const relist = () => {
    const [first, second] = [Number(a.value), Number(b.value)];
    const keys = data.names.map((_, place) => ORDERS[order.value].of(data, place, first, second));
    const places = data.names.map((_, place) => place).filter((place) => !onlyDrawn.checked || data.embedded[place]);
    places.sort((one, other) => keys[one] - keys[other] || one - other);
    const iou = (method, place) => (data.methods[method].iou[place] / 1000).toFixed(2);
    list.replaceChildren(...places.map((place) => option(
      `${data.embedded[place] ? "▣" : "·"} ${iou(first, place)} ${iou(second, place)}  ${data.names[place]}`, place)));
    list.selectedIndex = places.length ? 0 : -1;
    show();
  };
  const choose = () => {
    data = datasets[dataset.value];
    [a, b].forEach((select) => fill(select, data.methods.map((each) => each.label)));
    [a.value, b.value] = [...withMaps(data), 0, Math.min(1, data.methods.length - 1)];
    if (a.value === b.value && data.methods.length > 1) b.value = a.value === "0" ? 1 : 0;
    const count = Object.keys(data.embedded).length;
    byId("images-held").textContent = `${count} of ${data.names.length} images of ${data.dataset} have their pictures in ` +
      `this page` + (data.absent ? `: ${data.absent}.` : ".") + (data.left_out ? ` ${data.left_out}.` : "");
    every(".pictured", byId("images")).forEach((each) => { each.hidden = !count; });
    controls.reset(data);
    relist();
    const drawn = [...list.options].findIndex((each) => data.embedded[each.value]);
    if (drawn > 0) {  // the worst image that there is something to see of
      list.selectedIndex = drawn;
      show();
    }
  };
  fill(dataset, datasets.map((each) => each.dataset));
  dataset.closest("label").hidden = datasets.length === 1;
  order.replaceChildren(...Object.entries(ORDERS).map(([name, each]) => option(each.words, name)));
  dataset.addEventListener("input", choose);
  [a, b, order, onlyDrawn].forEach((input) => input.addEventListener("input", relist));
  list.addEventListener("input", show);
  choose();
}

function startImages() {
  const stored = byId("image-data");
  if (!stored) return;
  const datasets = JSON.parse(stored.textContent);
  startGallery(datasets);
  startBrowser(datasets);
}
