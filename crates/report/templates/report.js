
"use strict";
// Folding works without this script. It adds: filtering of checks, zoom of the timeline, and opening the folded
// place a link leads to.
(function () {
  for (const bar of document.querySelectorAll(".toolbar")) bar.hidden = false;

  function choose(group, act) {
    if (!group) return;
    group.addEventListener("click", function (event) {
      const button = event.target.closest("button");
      if (!button) return;
      for (const other of group.querySelectorAll("button")) other.setAttribute("aria-pressed", String(other === button));
      act(button.value);
    });
  }

  const rows = document.querySelectorAll("[data-checks] tbody tr");
  const search = document.querySelector("[data-search]");
  let status = "";
  function filter() {
    const words = search.value.toLowerCase().split(/\s+/);
    for (const row of rows) {
      const kind = row.className === "interrupted" ? "failed" : row.className;
      const text = row.textContent.toLowerCase();
      row.hidden = (status !== "" && kind !== status) || !words.every((word) => text.includes(word));
    }
  }
  choose(document.querySelector("[data-filter]"), function (value) {
    status = value;
    filter();
  });
  if (search) search.addEventListener("input", filter);

  const chart = document.querySelector(".chart");
  choose(document.querySelector("[data-zoom]"), function (value) {
    const picture = chart.querySelector("svg");
    const middle = (chart.scrollLeft + chart.clientWidth / 2) / chart.scrollWidth;
    picture.setAttribute("width", 100 * Number(value) + "%");
    chart.scrollLeft = middle * chart.scrollWidth - chart.clientWidth / 2;
  });
})();
