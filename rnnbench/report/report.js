"use strict";
// Adds to a page that is complete without it: tables filtered by the axes of the sweep, and the values of a figure's
// points, for a mouse, a finger and a keyboard. Every text goes in as text, and nothing is fetched.
(() => {
  const FEWEST_ROWS = 5;  // fewer are read at a glance
  const NEAR = 24;  // CSS px between a pointer and a point

  function make(tag, properties, ...children) {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  }

  // ---- tables: a list of values for each column that is an axis

  const textOf = (cell) => cell.textContent.trim();
  const inOrder = (values) => [...values].sort((a, b) => a.localeCompare(b, "en", { numeric: true }));

  function addFilter(table) {
    const rows = [...table.tBodies[0].rows];
    const axes = [...table.querySelectorAll("th[data-axis]")]
      .map((head) => ({ name: textOf(head), column: head.cellIndex }))
      .map((axis) => ({ ...axis, values: new Set(rows.map((row) => textOf(row.cells[axis.column]))) }))
      .filter((axis) => axis.values.size > 1 && axis.values.size < rows.length);
    if (rows.length < FEWEST_ROWS || !axes.length) return;

    const shown = make("output", {});
    for (const axis of axes) {
      axis.list = make("select", { autocomplete: "off" }, make("option", { value: "", textContent: "all" }));
      const option = (value) => make("option", { value: "=" + value, textContent: value });
      axis.list.append(...inOrder(axis.values).map(option));
    }
    const apply = () => {
      const chosen = axes.filter((axis) => axis.list.value);
      const fits = (row) => chosen.every((axis) => "=" + textOf(row.cells[axis.column]) === axis.list.value);
      let count = 0;
      for (const row of rows) if (!(row.hidden = !fits(row))) count += 1;
      shown.textContent = chosen.length ? `${count} of ${rows.length} rows` : `${rows.length} rows`;
    };
    const bar = make("div", { className: "filter" },
      ...axes.map((axis) => make("label", {}, axis.name + " ", axis.list)), shown);
    bar.setAttribute("role", "group");
    bar.setAttribute("aria-label", `Filter: ${table.caption.textContent.trim()}`);
    bar.addEventListener("change", apply);
    table.closest(".scroll").before(bar);
    apply();
  }

  // ---- figures: the rows of the CSV file that the page carries, at the places of their points

  function rowsOf(link) {
    const bytes = Uint8Array.from(atob(link.href.split(",")[1]), (character) => character.charCodeAt(0));
    const rows = [[]];
    for (const [, field, end] of new TextDecoder().decode(bytes).matchAll(/("(?:[^"]|"")*"|[^,\n]*)(,|\n|$)/g)) {
      rows.at(-1).push(field.startsWith('"') ? field.slice(1, -1).replaceAll('""', '"') : field);
      if (end === "\n") rows.push([]);
    }
    return rows;
  }

  function wordsOf(heads, row) {
    const parts = [];
    heads.forEach((head, column) => {
      const value = row[column];
      const number = /^-?\d+\.\d+(e[+-]?\d+)?$/.test(value) ? String(Number(Number(value).toPrecision(4))) : value;
      if (value) parts.push(head === "panel" || head === "series" ? value : `${head}: ${number}`);
    });
    return parts;
  }

  function addValues(figure) {
    const ink = figure.querySelector(".ink"), link = figure.querySelector("a[data-places]");
    if (!link) return;
    const drawing = ink.querySelector("svg");
    const box = drawing.viewBox.baseVal;
    const points = link.dataset.places.split(" ")
      .map((place, row) => ({ row: row + 1, place: place.split(",").map(Number) }))
      .filter((point) => point.place.length === 2);
    if (!points.length) return;

    const dot = make("span", { className: "dot", hidden: true });
    const tip = make("span", { className: "tip", hidden: true });
    ink.append(dot, tip);
    ink.setAttribute("data-live", "");
    const slider = make("input", { type: "range", min: 0, max: points.length - 1, value: 0, autocomplete: "off" });
    slider.setAttribute("aria-label", `Values of the figure, point by point: ${drawing.getAttribute("aria-label")}`);
    link.closest("p").prepend(make("label", {}, "Values ", slider));

    let rows = null;
    const words = (point) => {
      rows ??= rowsOf(link);
      return wordsOf(rows[0], rows[point.row]);
    };
    const frame = () => {
      const outer = ink.getBoundingClientRect(), inner = drawing.getBoundingClientRect();
      return { left: inner.left - outer.left - ink.clientLeft, top: inner.top - outer.top - ink.clientTop,
        scale: inner.width / box.width, width: ink.clientWidth };
    };
    const describe = () => slider.setAttribute("aria-valuetext", words(points[slider.value]).join(", "));
    const show = () => {
      const point = points[slider.value], at = frame(), parts = words(point);
      const [x, y] = [at.left + point.place[0] * at.scale, at.top + point.place[1] * at.scale];
      describe();
      tip.replaceChildren(...parts.flatMap((part, n) => (n ? [make("br", {}), part] : [part])));
      dot.hidden = tip.hidden = false;
      dot.style.translate = `${x}px ${y}px`;
      const left = Math.max(4, Math.min(x + 12, at.width - tip.offsetWidth - 4));
      const top = y > tip.offsetHeight + 16 ? y - tip.offsetHeight - 12 : y + 12;
      tip.style.translate = `${left}px ${top}px`;
    };
    const hide = () => { dot.hidden = tip.hidden = true; };
    const point = (event) => {
      const at = frame(), outer = ink.getBoundingClientRect();
      const x = (event.clientX - outer.left - ink.clientLeft - at.left) / at.scale;
      const y = (event.clientY - outer.top - ink.clientTop - at.top) / at.scale;
      let nearest = -1, least = (NEAR / at.scale) ** 2;
      points.forEach(({ place }, n) => {
        const distance = (place[0] - x) ** 2 + (place[1] - y) ** 2;
        if (distance < least) [nearest, least] = [n, distance];
      });
      if (nearest < 0) return hide();
      slider.value = nearest;
      show();
    };
    ink.addEventListener("pointermove", point);
    ink.addEventListener("pointerdown", point);
    ink.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") hide(); });
    slider.addEventListener("input", show);
    slider.addEventListener("focus", show);
    slider.addEventListener("blur", hide);
    document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
    addEventListener("resize", hide);
  }

  document.querySelectorAll("main table").forEach(addFilter);
  document.querySelectorAll("main figure").forEach(addValues);
})();
