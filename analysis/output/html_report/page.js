"use strict";

// Plotly and the figures are in the page in compressed form.
async function unpacked(script) {
  const bytes = Uint8Array.from(atob(script.textContent), (character) => character.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"))).text();
}

async function loadPlotly() {
  const script = document.createElement("script");
  script.textContent = await unpacked(document.getElementById("plotly"));
  document.head.append(script);
}

async function draw(figure) {
  if (figure.dataset.drawn) return;
  figure.dataset.drawn = "yes";
  const { data, layout } = JSON.parse(await unpacked(figure.querySelector("script")));
  const colour = getComputedStyle(document.body).getPropertyValue("--soft").trim();
  layout.font = { ...layout.font, color: colour, family: "system-ui, sans-serif" };
  const config = {
    responsive: true,
    displaylogo: false,
    modeBarButtonsToRemove: ["select2d", "lasso2d", "zoomIn2d", "zoomOut2d", "autoScale2d"],
  };
  await Plotly.newPlot(figure.querySelector(".canvas"), data, layout, config);
}

async function drawAll() {
  const figures = [...document.querySelectorAll("figure.plot")];
  if (!figures.length) return;
  if (typeof DecompressionStream === "undefined") {
    for (const figure of figures) figure.querySelector(".canvas").textContent = "This browser is too old to show plots.";
    return;
  }
  await loadPlotly();
  // A figure without a size cannot be drawn: one in folded content waits until it is opened.
  for (const details of document.querySelectorAll("details")) {
    details.addEventListener("toggle", () => details.querySelectorAll("figure.plot").forEach(draw));
  }
  for (const figure of figures) {
    if (figure.closest("details:not([open])")) continue;
    await draw(figure);
    // Let the reader scroll between two figures.
    await new Promise((resume) => setTimeout(resume));
  }
}

// Texts come after numbers, and numbers in the order of their size.
function compare(a, b) {
  const [x, y] = [Number(a), Number(b)];
  if (a !== "" && b !== "" && !isNaN(x) && !isNaN(y)) return x - y;
  return isNaN(x) === isNaN(y) ? a.localeCompare(b, "en", { numeric: true }) : isNaN(x) - isNaN(y);
}

function makeSortable(table) {
  const body = table.tBodies[0];
  const headers = [...table.tHead.rows[0].cells];
  headers.forEach((header, place) => {
    const button = document.createElement("button");
    button.append(...header.childNodes);
    header.replaceChildren(button);
    button.addEventListener("click", () => {
      const order = header.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
      headers.forEach((each) => each.removeAttribute("aria-sort"));
      header.setAttribute("aria-sort", order);
      const sign = order === "ascending" ? 1 : -1;
      const text = (row) => row.cells[place].textContent;
      body.append(...[...body.rows].sort((a, b) => sign * compare(text(a), text(b))));
    });
  });
}

function makeSearchable(table) {
  const rows = [...table.tBodies[0].rows];
  const texts = rows.map((row) => [...row.cells].map((cell) => cell.textContent.toLowerCase()).join("\n"));
  const bar = document.createElement("div");
  bar.className = "search";
  const input = document.createElement("input");
  input.type = "search";
  input.placeholder = "Search";
  input.setAttribute("aria-label", "Search the trials");
  const count = document.createElement("span");
  const update = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    rows.forEach((row, i) => {
      row.hidden = !words.every((word) => texts[i].includes(word));
      shown += !row.hidden;
    });
    count.textContent = `${shown} of ${rows.length} trials`;
  };
  input.addEventListener("input", update);
  update();
  bar.append(input, count);
  table.closest(".tall").before(bar);
}

for (const table of document.querySelectorAll("table.sortable")) {
  makeSortable(table);
  makeSearchable(table);
}
drawAll();
