// What a wide table or a large figure needs on a narrow page.
document.addEventListener("DOMContentLoaded", () => {
  const boxes =
    ".cell_output, .cell_output .output, .pst-scrollable-table-container, .ledger-scroll, div.highlight pre, " +
    "div.math, .bd-article figure";
  const looks = [...document.querySelectorAll(boxes)].map(watch);
  window.MathJax?.startup?.promise?.then(() => {
    const formulas = [...document.querySelectorAll('mjx-container[display="true"]')].map(watch);
    [...looks, ...formulas].forEach((look) => look()); // formulas have their width then
  });
  for (const image of document.querySelectorAll(".bd-article :is(figure, .output) img")) openable(image);
});

// From disk the search finds pages, but for the lines around a word it would have to fetch them.
if (location.protocol === "file:" && typeof DOCUMENTATION_OPTIONS !== "undefined") {
  DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
  document.addEventListener("DOMContentLoaded", () => {
    const told = document.createElement("p");
    told.textContent =
      "This page was opened from disk, where a browser lets no page read another: " +
      "the search lists the pages, without the lines around each word.";
    document.getElementById("search-results")?.before(told);
  });
}

// What scrolls on its own can be reached, and scrolled, with the keyboard, and shows that it goes on.
function watch(box) {
  const look = () => {
    const wide = box.scrollWidth > box.clientWidth + 1;
    box.classList.toggle("goes-on", wide && box.scrollLeft + box.clientWidth < box.scrollWidth - 1);
  };
  box.addEventListener("scroll", look, { passive: true });
  new ResizeObserver(look).observe(box);
  const reached = reach(box);
  return () => {
    reached();
    look();
  };
}

// The theme takes the tab stop from what does not scroll when it looks, which may change.
function reach(box) {
  const look = () => {
    const scrolls = box.scrollWidth > box.clientWidth + 1 || box.scrollHeight > box.clientHeight + 1;
    if (scrolls && box.tabIndex < 0) box.tabIndex = 0;
  };
  new ResizeObserver(look).observe(box);
  return look;
}

// A figure that had to shrink can be opened in the size that it was drawn in.
function openable(image) {
  const look = () => {
    if (!image.clientWidth || image.naturalWidth < 1.15 * image.clientWidth || image.closest("a, button")) return;
    const button = Object.assign(document.createElement("button"), { type: "button", className: "enlarge" });
    button.setAttribute("aria-label", `Enlarge: ${image.alt}`);
    button.addEventListener("click", () => enlarge(image));
    const whole = image.closest("picture") ?? image;
    whole.replaceWith(button);
    button.append(whole);
  };
  image.addEventListener("load", look);
  if (image.complete) look();
}

function enlarge(image) {
  const dialog = document.createElement("dialog");
  dialog.className = "enlarged";
  dialog.setAttribute("aria-label", "Figure, enlarged");
  const close = Object.assign(document.createElement("button"), { type: "button", textContent: "Close" });
  const copy = Object.assign(new Image(), { src: image.currentSrc, alt: image.alt, className: image.className });
  dialog.append(close, copy);
  dialog.addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}
