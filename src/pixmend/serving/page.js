"use strict";
// The page: a picture on one canvas, what is painted on another one above it, and the results of the server below.

const find = (id) => document.getElementById(id);
const picture = find("picture"), strokes = find("strokes"), pen = strokes.getContext("2d", { willReadFrequently: true });
const HOLE = "#ff3b7f";
const TYPES = ["image/jpeg", "image/png"];
let most = Infinity;      // pixels of a picture
let source = "";          // the picture as a data URL, as it came
let earlier = [];         // the painted canvas before each stroke
let results = [];

async function ask(path, options) {
  const answer = await fetch(path, options).catch(() => null);
  if (!answer || answer.status >= 500)
    throw new Error("The page gets no answer: pixmend serve has ended or failed. Its terminal says more. Start it again.");
  return answer;
}

async function start() {
  const known = await (await ask("choices")).json();
  most = known.pixels;
  known.examples.forEach((name) => find("example").add(new Option(name.replaceAll("_", " "), name)));
  known.choices.forEach((name, number) => {
    const label = document.createElement("label"), box = document.createElement("input");
    box.type = "checkbox"; box.name = "choice"; box.value = name; box.checked = number === 0;
    label.append(box, ` ${name}`);
    find("choices").append(label);
  });
}

function readFile(file) {
  if (!TYPES.includes(file.type)) return Promise.reject(new Error(`${file.name} is neither a JPEG nor a PNG file.`));
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(new Error("The file cannot be read."));
    reader.readAsDataURL(file);
  });
}

function loadImage(url) {
  return new Promise((resolve, reject) => {
    const image = new Image();
    image.onload = () => {
      if (image.naturalWidth * image.naturalHeight <= most) return resolve(image);
      reject(new Error(`The picture has ${image.naturalWidth}x${image.naturalHeight} pixels; this page takes ${most / 1e6} million.`));
    };
    image.onerror = () => reject(new Error("The picture is damaged: the browser cannot show it. Use another JPEG or PNG file."));
    image.src = url;
  });
}

async function showPicture(url, isWhole) {
  const image = await loadImage(url);
  for (const canvas of [picture, strokes]) { canvas.width = image.naturalWidth; canvas.height = image.naturalHeight; }
  picture.getContext("2d").drawImage(image, 0, 0);
  source = url; earlier = [];
  find("brush").max = Math.max(20, Math.round(Math.max(picture.width, picture.height) / 3));
  find("brush").value = Math.round(Math.max(picture.width, picture.height) / 12);
  find("is-original").checked = isWhole;
  find("paint").hidden = false; find("results").hidden = true;
  tell("Paint over what is missing.");
}

async function showMask(url) {
  if (!source) throw new Error("Choose a picture first, then its mask.");
  const image = await loadImage(url);
  if (image.naturalWidth !== strokes.width || image.naturalHeight !== strokes.height)
    throw new Error(`The mask has ${image.naturalWidth}x${image.naturalHeight} pixels, and the picture ${strokes.width}x${strokes.height}.`);
  remember();
  const cells = document.createElement("canvas");
  cells.width = strokes.width; cells.height = strokes.height;
  const context = cells.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  const pixels = context.getImageData(0, 0, cells.width, cells.height);
  for (let at = 0; at < pixels.data.length; at += 4) {
    const white = pixels.data[at] + pixels.data[at + 1] + pixels.data[at + 2] > 382;
    pixels.data.set(white ? [255, 59, 127, 255] : [0, 0, 0, 0], at);
  }
  context.putImageData(pixels, 0, 0);
  pen.drawImage(cells, 0, 0);
}

function remember() {
  earlier.push(pen.getImageData(0, 0, strokes.width, strokes.height));
  if (earlier.length > 20) earlier.shift();
}

function place(event) {
  const frame = strokes.getBoundingClientRect();
  return [(event.clientX - frame.left) * strokes.width / frame.width, (event.clientY - frame.top) * strokes.height / frame.height];
}

let last = null;
strokes.addEventListener("pointerdown", (event) => { strokes.setPointerCapture(event.pointerId); remember(); last = place(event); draw(event); });
strokes.addEventListener("pointermove", (event) => { if (last) draw(event); });
for (const name of ["pointerup", "pointercancel"]) strokes.addEventListener(name, () => { last = null; });

function draw(event) {
  const now = place(event);
  pen.strokeStyle = HOLE; pen.lineWidth = Number(find("brush").value); pen.lineCap = pen.lineJoin = "round";
  pen.beginPath(); pen.moveTo(...last); pen.lineTo(...now); pen.stroke();
  last = now;
}

function makeMask() {
  const painted = pen.getImageData(0, 0, strokes.width, strokes.height);
  for (let at = 0; at < painted.data.length; at += 4) {
    const value = painted.data[at + 3] > 0 ? 255 : 0;
    painted.data.set([value, value, value, 255], at);
  }
  const canvas = document.createElement("canvas");
  canvas.width = strokes.width; canvas.height = strokes.height;
  canvas.getContext("2d").putImageData(painted, 0, 0);
  return canvas.toDataURL("image/png");
}

function tell(text, isError = false) {
  find("message").textContent = text;
  find("message").classList.toggle("error", isError);
}

async function mend() {
  const names = [...document.querySelectorAll("input[name=choice]:checked")].map((box) => box.value);
  if (!names.length) return tell("Choose a run or a fill.", true);
  find("mend").disabled = true;
  tell("Mending ...");
  const sent = source, before = makeBefore();   // another picture may be chosen meanwhile, or more be painted
  try {
    const order = { picture: source, mask: makeMask(), names, is_original: find("is-original").checked };
    const answer = await ask("mend", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(order) });
    const found = await answer.json();
    if (source !== sent) return;
    if (!answer.ok) throw new Error(found.error);
    results = found.results;
    tell(`${(100 * found.missing).toFixed(1)}% of the picture was missing.`);
    showResults(before);
  } catch (error) {
    if (source === sent) tell(error.message, true);
  } finally {
    find("mend").disabled = false;
  }
}

function makeBefore() {
  const canvas = document.createElement("canvas"), context = canvas.getContext("2d");
  canvas.width = picture.width; canvas.height = picture.height;
  context.drawImage(picture, 0, 0);
  context.drawImage(strokes, 0, 0);
  return canvas.toDataURL("image/png");
}

function showResults(before) {
  find("results").hidden = false;
  find("before").src = before;
  find("tabs").replaceChildren(...results.map((result, number) => {
    const tab = document.createElement("button");
    tab.type = "button"; tab.role = "tab"; tab.textContent = result.name;
    tab.addEventListener("click", () => select(number));
    return tab;
  }));
  find("rows").replaceChildren(...results.map((result) => {
    const row = document.createElement("tr"), link = document.createElement("a");
    const small = new Image();
    small.src = result.image; small.alt = `mended with ${result.name}`;
    link.href = result.image; link.download = `${result.name.replaceAll("/", "-")}.png`; link.textContent = "Download";
    for (const value of [small, result.name, result.seconds.toFixed(2), result.rmse === null ? "" : result.rmse.toFixed(5), link]) {
      const cell = document.createElement("td");
      cell.append(value);
      row.append(cell);
    }
    return row;
  }));
  select(0);
  slide();
}

function select(number) {
  find("after").src = results[number].image;
  [...find("tabs").children].forEach((tab, place) => tab.setAttribute("aria-selected", String(place === number)));
}

function slide() { find("before").style.clipPath = `inset(0 ${100 - find("slider").value}% 0 0)`; }

function attempt(work) { return (...words) => work(...words).catch((error) => tell(error.message, true)); }

const open = attempt(async (file) => { await showPicture(await readFile(file), false); find("example").value = ""; });
const openMask = attempt(async (file) => showMask(await readFile(file)));
for (const [id, take] of [["file", open], ["mask-file", openMask]])
  find(id).addEventListener("change", (event) => {
    if (event.target.files[0]) take(event.target.files[0]);
    event.target.value = "";   // the same file can be chosen again
  });
find("example").addEventListener("change", attempt(async (event) => {
  if (!event.target.value) return;
  const answer = await ask(`examples/${encodeURIComponent(event.target.value)}`);
  await showPicture(await readFile(await answer.blob()), true);
}));
find("undo").addEventListener("click", () => { if (earlier.length) pen.putImageData(earlier.pop(), 0, 0); });
find("clear").addEventListener("click", () => { remember(); pen.clearRect(0, 0, strokes.width, strokes.height); });
find("mend").addEventListener("click", mend);
find("slider").addEventListener("input", slide);
document.addEventListener("dragover", (event) => { event.preventDefault(); document.body.classList.add("dropping"); });
document.addEventListener("dragleave", () => document.body.classList.remove("dropping"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dropping");
  const file = event.dataTransfer.files[0];
  if (file) (event.shiftKey ? openMask : open)(file);
});
start().catch((error) => tell(error.message, true));
