"use strict";
// Tables: a click on a heading sorts by it, a second one the other way round.
for (const table of document.querySelectorAll("table")) {
  const body = table.tBodies[0];
  table.querySelectorAll("th button").forEach((button, column) => {
    button.addEventListener("click", () => {
      const heading = button.parentElement;
      const isDescending = heading.getAttribute("aria-sort") === "ascending";
      for (const other of table.querySelectorAll("th")) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", isDescending ? "descending" : "ascending");
      const figure = (row) => {
        const cell = row.cells[column];
        return "value" in cell.dataset ? Number(cell.dataset.value) : null;
      };
      const compare = (one, other) => {
        const [first, second] = [figure(one), figure(other)];
        const sign = isDescending ? -1 : 1;
        if (first !== null && second !== null) return sign * (first - second);
        // What is unknown comes last, whichever way.
        if (first !== null || second !== null) return first === null ? 1 : -1;
        const texts = [one, other].map((row) => row.cells[column].textContent);
        return sign * texts[0].localeCompare(texts[1]);
      };
      body.append(...[...body.rows].sort(compare));
    });
  });
}
// Figures: what a point says, on pointing at it, touching it or moving to it by keyboard.
const tip = document.getElementById("tip");
for (const point of document.querySelectorAll("svg .tip")) {
  const title = point.querySelector("title");
  const text = title.textContent;
  point.setAttribute("aria-label", text);
  title.remove(); // The browser's own tooltip would come on top.
  const show = () => {
    tip.textContent = text;
    tip.hidden = false;
    const at = point.getBoundingClientRect();
    const left = Math.min(at.left, document.documentElement.clientWidth - tip.offsetWidth - 8);
    const above = at.top - tip.offsetHeight - 6;
    tip.style.left = `${Math.max(8, left)}px`;
    tip.style.top = `${above > 0 ? above : at.bottom + 6}px`;
  };
  const hide = () => { tip.hidden = true; };
  point.addEventListener("pointerenter", show);
  point.addEventListener("pointerleave", hide);
  point.addEventListener("focus", show);
  point.addEventListener("blur", hide);
}
