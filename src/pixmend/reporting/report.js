"use strict";

// A click on a column's title sorts by it, a second click in reverse; empty cells stay last.
function sortBy(head) {
  const table = head.closest("table"), place = head.cellIndex, body = table.tBodies[0];
  const direction = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
  const value = (row) => {
    const text = row.cells[place].textContent.trim();
    if (text === "–") return null;
    return head.dataset.kind === "number" ? parseFloat(text.replaceAll(",", "")) : text;
  };
  const order = (a, b) => (typeof a === "number" ? a - b : a.localeCompare(b, undefined, { numeric: true }));
  const rows = [...body.rows].map((row) => ({ row, value: value(row) }));
  rows.sort((a, b) => a.value === null || b.value === null
    ? (a.value === null) - (b.value === null) : direction * order(a.value, b.value));
  for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", direction === 1 ? "ascending" : "descending");
  body.append(...rows.map(({ row }) => row));
}

for (const button of document.querySelectorAll(".sortable thead button")) {
  button.addEventListener("click", () => sortBy(button.closest("th")));
}

// The checkbox of a run hides and shows its curves.
for (const box of document.querySelectorAll(".legend input")) {
  box.addEventListener("change", () => {
    for (const curve of document.querySelectorAll(`[id$="-run${box.dataset.run}"]`)) curve.classList.toggle("hidden", !box.checked);
  });
}

// Show one view of an image over another, up to the slider's position.
const compare = document.querySelector(".compare"), stage = compare.querySelector(".stage");
const slider = compare.querySelector("input[type=range]");

function choose() {
  const chosen = document.querySelector(`[data-image="${compare.elements.image.value}"]`);
  const [right, left] = ["right", "left"].map((side) => compare.elements[side].value);
  const tags = stage.querySelectorAll(".tag");
  [right, left].forEach((view, place) => {
    const image = stage.querySelector(place ? ".left" : ".right"), source = chosen.querySelector(`[data-view="${view}"]`);
    image.src = source.src;
    image.alt = source.alt;
    tags[place].textContent = view;
  });
}

function slide() {
  stage.style.setProperty("--at", `${slider.value}%`);
}

function follow(event) {
  if (event.type === "pointermove" && !event.buttons) return;
  const box = stage.getBoundingClientRect();
  slider.value = 100 * (event.clientX - box.left) / box.width;
  slide();
}

compare.addEventListener("change", choose);
slider.addEventListener("input", slide);
stage.addEventListener("pointerdown", follow);
stage.addEventListener("pointermove", follow);
for (const button of document.querySelectorAll(".choose")) {
  button.addEventListener("click", () => {
    compare.elements.image.value = button.closest("article").dataset.image;
    choose();
    compare.scrollIntoView({ block: "nearest" });
  });
}
choose();
slide();
