"""What a report page does by itself: tables sort by a click on a heading, films play on click."""

SCRIPT = """\
const text = (row, column) => row.cells[column].textContent.trim();
const number = (cell) => cell === "-" ? -Infinity : parseFloat(cell.replace(/[,%]/g, ""));
function compare(a, b) {
  const [x, y] = [number(a), number(b)];
  return Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b) : x === y ? 0 : x - y;
}
function sort(table, column, heading) {
  const down = heading.getAttribute("aria-sort") !== "descending";
  for (const other of table.querySelectorAll("th[aria-sort]")) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", down ? "descending" : "ascending");
  const rows = [...table.tBodies[0].rows];
  rows.sort((a, b) => (down ? -1 : 1) * compare(text(a, column), text(b, column)));
  table.tBodies[0].append(...rows);
}
for (const table of document.querySelectorAll("table.sortable"))
  [...table.tHead.rows[0].cells].forEach((heading, column) =>
    heading.querySelector("button").addEventListener("click", () => sort(table, column, heading)));
for (const button of document.querySelectorAll(".film button")) {
  const film = button.querySelector("video");
  button.addEventListener("click", () => { if (film.paused) film.play(); else film.pause(); });
  for (const event of ["play", "pause"])
    film.addEventListener(event, () => button.setAttribute("aria-pressed", String(!film.paused)));
}
"""
