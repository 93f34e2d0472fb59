// Search, choices and sorting for the ledger's table; the table itself needs none of it.
document.addEventListener("DOMContentLoaded", () => {
  for (const box of document.querySelectorAll("div.ledger")) enliven(box);
});

function enliven(box) {
  const body = box.querySelector("tbody");
  const rows = [...body.rows];
  const plain = (text) => text.toLowerCase().replaceAll("−", "-"); // as a keyboard has it
  const texts = rows.map((row) => plain(row.textContent));
  const controls = document.createElement("form");
  controls.className = "ledger-controls";
  controls.addEventListener("submit", (event) => event.preventDefault());

  const search = labelled(controls, "Search", document.createElement("input"));
  search.type = "search";
  search.placeholder = "disgust, Table 8";
  const choices = [];
  for (const [name, column] of Object.entries(box.dataset)) {
    if (!name.startsWith("filter")) continue;
    const select = labelled(controls, name.slice("filter".length), document.createElement("select"));
    const found = [...new Set(rows.flatMap((row) => chosenBy(row.cells[column])))];
    if (name === "filterVerdict") found.sort();
    select.append(new Option("all", ""), ...found.map((text) => new Option(text)));
    choices.push([Number(column), select]);
  }
  const told = document.createElement("p");
  told.className = "ledger-count";
  told.setAttribute("role", "status");
  box.prepend(controls, told);

  const show = () => {
    const wanted = plain(search.value).split(/\s+/).filter(Boolean);
    let n = 0;
    rows.forEach((row, i) => {
      const fits =
        wanted.every((word) => texts[i].includes(word)) &&
        choices.every(([column, select]) => !select.value || chosenBy(row.cells[column]).includes(select.value));
      row.hidden = !fits;
      n += fits;
    });
    told.textContent = n === rows.length ? `${n} claims` : `${n} of ${rows.length} claims`;
  };
  controls.addEventListener("input", show);

  [...box.querySelectorAll("th")].forEach((th, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = th.textContent;
    th.replaceChildren(button);
    button.addEventListener("click", () => {
      const down = th.getAttribute("aria-sort") === "ascending";
      box.querySelectorAll("th").forEach((other) => other.removeAttribute("aria-sort"));
      th.setAttribute("aria-sort", down ? "descending" : "ascending");
      const text = (row) => row.cells[column].textContent;
      const number = (row) => parseFloat(row.cells[column].dataset.order); // NaN: no number, at the end either way
      const order = (a, b) => {
        const [p, q] = [number(a), number(b)];
        if (Number.isNaN(p) !== Number.isNaN(q)) return Number.isNaN(p) ? 1 : -1;
        const found = !Number.isNaN(p) ? p - q : text(a).localeCompare(text(b), "en", { numeric: true });
        return down ? -found : found;
      };
      body.append(...[...rows].sort(order));
    });
  });
  show();
  if (location.hash.startsWith("#claim-")) document.getElementById(location.hash.slice(1))?.scrollIntoView();
}

// What a cell is found under: several words with a bar between them, or all of its text.
function chosenBy(cell) {
  return cell.dataset.choices?.split("|") ?? [cell.textContent];
}

function labelled(parent, name, control) {
  const label = document.createElement("label");
  label.append(name, control);
  parent.append(label);
  return control;
}
