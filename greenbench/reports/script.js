"use strict";
// Tables: a click on a heading sorts by it, a second one the other way round.
for (const table of document.querySelectorAll("table")) {
  const body = table.tBodies[0];
  table.querySelectorAll("th button").forEach((button, column) => {
    button.addEventListener("click", () => {
      const heading = button.parentElement;
      const sign = heading.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      for (const other of table.querySelectorAll("th")) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
      const figure = (row) => row.cells[column].dataset.value;
      const text = (row) => row.cells[column].textContent;
      const isUnknown = (row) => (figure(row) ?? text(row)) === "";
      const compare = (one, other) => {
        // What is unknown comes last, whichever way.
        if (isUnknown(one) || isUnknown(other)) return isUnknown(one) - isUnknown(other);
        const [first, second] = [figure(one), figure(other)];
        if (first !== undefined && second !== undefined) return sign * (first - second);
        return sign * text(one).localeCompare(text(other), "en", { numeric: true });
      };
      body.append(...[...body.rows].sort(compare));
    });
  });
}
// Figures: what a mark says, on pointing at it, touching it or moving to it by keyboard.
const tip = document.getElementById("tip");
const hide = () => { tip.hidden = true; };
for (const svg of document.querySelectorAll("figure svg")) {
  // From left to right, for arrow keys.
  const left = (mark) => mark.getBoundingClientRect().left;
  const marks = [...svg.querySelectorAll(".tip")].sort((one, other) => left(one) - left(other));
  marks.forEach((mark, index) => {
    const title = mark.querySelector("title");
    const text = title.textContent;
    mark.setAttribute("aria-label", text);
    title.remove(); // The browser's own tooltip would come on top.
    // One stop for Tab in each figure, however many marks it has.
    mark.setAttribute("tabindex", index === 0 ? "0" : "-1");
    const show = () => {
      tip.textContent = text;
      tip.hidden = false;
      const at = mark.getBoundingClientRect();
      const left = Math.min(at.left, document.documentElement.clientWidth - tip.offsetWidth - 8);
      const above = at.top - tip.offsetHeight - 6;
      tip.style.left = `${Math.max(8, left)}px`;
      tip.style.top = `${above > 0 ? above : at.bottom + 6}px`;
    };
    mark.addEventListener("pointerenter", show);
    mark.addEventListener("pointerleave", hide);
    mark.addEventListener("focus", show);
    mark.addEventListener("blur", hide);
  });
  svg.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const next = marks[marks.indexOf(document.activeElement) + step];
    if (next) {
      next.focus();
      event.preventDefault();
    }
  });
}
document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
// Links to CSV hold it compressed: browsers unpack it where they can.
for (const link of document.querySelectorAll("a.csv")) {
  if (!("DecompressionStream" in window)) break;
  link.addEventListener("click", async (event) => {
    if (!event.isTrusted) return;
    event.preventDefault();
    const bytes = Uint8Array.from(atob(link.href.split(",")[1]), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const unpacked = document.createElement("a");
    unpacked.href = URL.createObjectURL(await new Response(stream).blob());
    unpacked.download = link.download.replace(/\.gz$/, "");
    unpacked.click();
    setTimeout(() => URL.revokeObjectURL(unpacked.href), 60000);
  });
}
