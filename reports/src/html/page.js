/* Optional: values under the pointer or by arrow keys, legend entries that hide their line, a logarithmic axis. */
(() => {
  const NS = "http://www.w3.org/2000/svg";
  const make = (name, attributes, parent) => {
    const element = document.createElementNS(NS, name);
    for (const key in attributes) element.setAttribute(key, attributes[key]);
    parent.appendChild(element);
    return element;
  };
  const axis = (text) => {
    const [low, high, from, to, scale] = text.split(" ");
    const f = scale === "log" ? Math.log10 : (v) => v, g = scale === "log" ? (v) => 10 ** v : (v) => v;
    const l = f(+low), h = f(+high);
    return { low: +low, high: +high, from: +from, to: +to, value: (p) => { const v = g(l + (h - l) * (p - from) / (to - from)); return scale === "whole" ? Math.round(v) : v; } };
  };
  const short = (v) => v === 0 ? "0" : Number.isInteger(v) ? String(v) : Math.abs(v) >= 1e4 || Math.abs(v) < 1e-3 ? v.toExponential(2) : String(+v.toPrecision(3));
  const slot = (element) => ((element.getAttribute("class") || "").match(/[sf]-(?:line|thin|band|mark)(\d)/) || [])[1];
  const points = (line) => line.getAttribute("points").trim().split(/\s+/).map((p) => p.split(",").map(Number));

  const names = (figure) => {
    const found = {};
    figure.querySelectorAll(".legend li").forEach((item) => {
      const swatch = item.querySelector("line");
      if (swatch) found[slot(swatch)] = item.textContent.trim();
    });
    return found;
  };

  const hover = (figure, chart, labels) => {
    const x = axis(chart.dataset.x), y = axis(chart.dataset.y);
    const tip = document.createElement("div");
    tip.className = "tip";
    tip.setAttribute("role", "status");
    tip.hidden = true;
    const frame = document.createElement("div");
    frame.className = "frame";
    chart.replaceWith(frame);
    frame.append(chart, tip);
    const guide = make("line", { class: "s-axis guide", y1: y.from, y2: y.to, "stroke-width": 10, visibility: "hidden" }, chart);
    const lines = () => [...chart.querySelectorAll("polyline")].filter((line) => slot(line) && getComputedStyle(line).display !== "none");
    const show = (at) => {
      const rows = lines().map((line) => {
        const near = points(line).reduce((best, p) => (Math.abs(p[0] - at) < Math.abs(best[0] - at) ? p : best));
        return [slot(line), near];
      });
      if (!rows.length) return;
      const place = rows.reduce((best, r) => (Math.abs(r[1][0] - at) < Math.abs(best - at) ? r[1][0] : best), rows[0][1][0]);
      const value = (p) => short(chart.log ? chart.log(p) : y.value(p));
      tip.textContent = short(x.value(place)) + ": " + rows.slice(0, 8).map(([s, p]) => (labels[s] ? labels[s] + " " : "") + value(p[1])).join(", ");
      guide.setAttribute("x1", place);
      guide.setAttribute("x2", place);
      guide.setAttribute("visibility", "visible");
      tip.hidden = false;
      chart.at = place;
    };
    const hide = () => { tip.hidden = true; guide.setAttribute("visibility", "hidden"); };
    chart.addEventListener("pointermove", (event) => {
      const box = chart.getBoundingClientRect();
      show((event.clientX - box.left) / box.width * chart.viewBox.baseVal.width);
    });
    chart.addEventListener("pointerleave", hide);
    chart.setAttribute("tabindex", "0");
    chart.addEventListener("blur", hide);
    chart.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      const all = step && [...new Set(lines().flatMap((line) => points(line).map((p) => p[0])))].sort((a, b) => a - b);
      if (!all || !all.length) return;
      const index = chart.at === undefined ? (step > 0 ? -1 : all.length) : all.findIndex((p) => p >= chart.at);
      show(all[Math.min(all.length - 1, Math.max(0, index + step))]);
      event.preventDefault();
    });
  };

  const toggles = (figure) => figure.querySelectorAll(".legend li").forEach((item) => {
    const swatch = item.querySelector("line");
    if (!swatch || !figure.querySelector("polyline")) return;
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-pressed", "true");
    button.append(...item.childNodes);
    item.append(button);
    button.addEventListener("click", () => {
      const on = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", on);
      figure.classList.toggle("hide" + slot(swatch), !on);
    });
  });

  const control = (figure, text, act) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "control";
    button.textContent = text;
    button.setAttribute("aria-pressed", "false");
    figure.querySelector(".title").append(" ", button);
    button.addEventListener("click", () => {
      const on = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", on);
      act(on);
    });
  };

  const logarithmic = (chart) => {
    const y = axis(chart.dataset.y);
    const lines = [...chart.querySelectorAll("polyline,polygon,line,text")].filter((e) => e.tagName !== "line" && slot(e));
    const low = Math.min(...lines.filter((e) => e.tagName === "polyline").flatMap((e) => points(e).map((p) => y.value(p[1]))));
    if (!(low > 0) || chart.dataset.y.endsWith("log")) return null;
    const a = Math.log10(low) - 0.02, b = Math.log10(y.high);
    const place = (p) => y.from + (y.to - y.from) * (Math.log10(Math.max(y.value(p), low)) - a) / (b - a);
    const level = [...chart.querySelectorAll("line.s-grid")].filter((e) => e.getAttribute("y1") === e.getAttribute("y2"));
    const ticks = [...chart.querySelectorAll('text[text-anchor="end"]')];
    const group = make("g", { display: "none" }, chart);
    if (level.length) level[0].before(group);
    const values = [];
    for (let e = Math.floor(a); e <= b; e++) for (const d of [1, 2, 5]) if (d * 10 ** e >= low && d * 10 ** e <= y.high) values.push(d * 10 ** e);
    const every = Math.ceil(values.length / 6) || 1;
    values.filter((_, i) => i % every === 0).forEach((v) => {
      const at = y.from + (y.to - y.from) * (Math.log10(v) - a) / (b - a);
      make("line", { class: "s-grid", x1: 540, x2: 3400, y1: at, y2: at, "stroke-width": 10 }, group);
      const text = make("text", { class: "f-muted", x: 460, y: at + 45, "text-anchor": "end", "font-size": 135 }, group);
      text.textContent = short(v);
    });
    const plain = lines.map((e) => e.getAttribute("points"));
    return (on) => {
      [...level, ...ticks].forEach((e) => e.setAttribute("display", on ? "none" : "inline"));
      group.setAttribute("display", on ? "inline" : "none");
      lines.forEach((e, i) => {
        e.setAttribute("points", plain[i]);
        if (!on) return;
        const all = points(e), middle = all.reduce((s, p) => s + p[1], 0) / all.length;
        // A marker keeps its shape: only its centre moves. Lines and bands move point by point.
        const moved = e.getAttribute("class").includes("mark") ? (at) => at + place(middle) - middle : place;
        e.setAttribute("points", all.map((p) => p[0] + "," + moved(p[1])).join(" "));
      });
      chart.log = on ? (p) => 10 ** (a + (b - a) * (p - y.from) / (y.to - y.from)) : undefined;
    };
  };

  document.querySelectorAll("figure").forEach((figure) => {
    const charts = [...figure.querySelectorAll("svg[data-x]")];
    if (!charts.length) return;
    const labels = names(figure);
    const switches = charts.map(logarithmic).filter(Boolean);
    toggles(figure);
    charts.forEach((chart) => hover(figure, chart, labels));
    if (switches.length) control(figure, "log scale", (on) => switches.forEach((act) => act(on)));
    if (figure.querySelector('[class^="s-thin"]')) control(figure, "hide seeds", (on) => figure.classList.toggle("no-seeds", on));
  });
})();
