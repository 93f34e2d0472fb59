// Search, choices and sorting for the ledger's table; the table itself needs none of it.
document.addEventListener("DOMContentLoaded", () => {
  for (const box of document.querySelectorAll("div.ledger")) enliven(box);
});

function enliven(box) {
  const body = box.querySelector("tbody");
  const rows = [...body.rows];
  const texts = rows.map((row) => row.textContent.toLowerCase());
  const controls = document.createElement("form");
  controls.className = "ledger-controls";
  controls.addEventListener("submit", (event) => event.preventDefault());

  const search = labelled(controls, "Search", document.createElement("input"));
  search.type = "search";
  search.placeholder = "disgust, Table 8, abstract …";
  const choices = [];
  for (const [name, column] of Object.entries(box.dataset)) {
    if (!name.startsWith("filter")) continue;
    const select = labelled(controls, name.slice("filter".length), document.createElement("select"));
    const found = [...new Set(rows.map((row) => row.cells[column].textContent))];
    if (name === "filterVerdict") found.sort();
    select.append(new Option("all", ""), ...found.map((text) => new Option(text)));
    choices.push([Number(column), select]);
  }
  const told = document.createElement("p");
  told.className = "ledger-count";
  told.setAttribute("role", "status");
  box.prepend(controls, told);

  const show = () => {
    const wanted = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let n = 0;
    rows.forEach((row, i) => {
      const fits =
        wanted.every((word) => texts[i].includes(word)) &&
        choices.every(([column, select]) => !select.value || row.cells[column].textContent === select.value);
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
      const key = (row) => row.cells[column].dataset.order ?? row.cells[column].textContent;
      const order = (a, b) => {
        const [x, y] = [key(a), key(b)];
        const [p, q] = [parseFloat(x), parseFloat(y)];
        const numbers = "order" in a.cells[column].dataset && "order" in b.cells[column].dataset;
        return numbers ? p - q : x.localeCompare(y, "en", { numeric: true });
      };
      body.append(...[...rows].sort((a, b) => (down ? -order(a, b) : order(a, b))));
    });
  });
  show();
  if (location.hash.startsWith("#claim-")) document.getElementById(location.hash.slice(1))?.scrollIntoView();
}

function labelled(parent, name, control) {
  const label = document.createElement("label");
  label.append(name, control);
  parent.append(label);
  return control;
}
