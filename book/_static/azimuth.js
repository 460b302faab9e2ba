/* Four small things: turnable figures in the page's colours, previews of cited works, keys for what scrolls, and search
   results without raw formulas. */
(() => {
  "use strict";
  const root = document.documentElement;

  /* Plotly figures: each holds its data as JSON; drawn with the one local plotly.js, redrawn when the colours change. */
  const ink = (name) => getComputedStyle(root).getPropertyValue(name).trim();
  const axis = () => ({ color: ink("--az-muted"), gridcolor: ink("--az-rule"), zerolinecolor: ink("--az-rule"), showbackground: false });
  const colours = (layout) => {
    const change = { "paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)", "font.color": ink("--az-ink"), "font.family": ink("--az-sans") };
    for (const name of Object.keys(layout)) {
      if (/^[xy]axis\d*$/.test(name))
        for (const [key, value] of Object.entries(axis())) if (key !== "showbackground") change[`${name}.${key}`] = value;
      if (/^scene\d*$/.test(name))
        for (const side of "xyz") for (const [key, value] of Object.entries(axis())) change[`${name}.${side}axis.${key}`] = value;
    }
    return change;
  };
  const webgl = () => {
    try { return Boolean(document.createElement("canvas").getContext("webgl")); } catch { return false; }
  };
  const threeDimensional = (figure) => figure.data.some((trace) => /3d|gl$|surface|mesh/.test(trace.type || ""));

  /* Arrow keys turn a three-dimensional figure, plus and minus bring it closer, as the mouse does. */
  function turnByKeys(stage, label) {
    stage.tabIndex = 0;
    stage.setAttribute("role", "application");
    stage.setAttribute("aria-label", `${label} Arrow keys turn it, plus and minus zoom.`);
    stage.addEventListener("keydown", (event) => {
      if (event.target !== stage) return;
      const camera = stage.layout.scene?.camera || {};
      const { x, y, z } = camera.eye || { x: 1.25, y: 1.25, z: 1.25 };
      const far = Math.hypot(x, y, z);
      let around = Math.atan2(y, x), up = Math.asin(z / far), distance = far;
      if (event.key === "ArrowLeft") around -= 0.15;
      else if (event.key === "ArrowRight") around += 0.15;
      else if (event.key === "ArrowUp") up = Math.min(up + 0.15, 1.5);
      else if (event.key === "ArrowDown") up = Math.max(up - 0.15, -1.5);
      else if (event.key === "+") distance *= 0.9;
      else if (event.key === "-") distance /= 0.9;
      else return;
      event.preventDefault();
      const eye = { x: distance * Math.cos(up) * Math.cos(around), y: distance * Math.cos(up) * Math.sin(around), z: distance * Math.sin(up) };
      window.Plotly.relayout(stage, { "scene.camera": { ...camera, eye } });
    });
  }

  function drawFigures() {
    for (const frame of document.querySelectorAll(".az-plotly")) {
      const figure = JSON.parse(frame.querySelector("script").textContent);
      if (!window.Plotly || (threeDimensional(figure) && !webgl())) {
        frame.classList.add("az-plotly-absent");
        frame.querySelector(".az-plotly-missing").prepend("This figure turns where the browser offers WebGL; here it does not. ");
        continue;
      }
      const stage = document.createElement("div");
      frame.append(stage);
      const layout = { ...figure.layout, autosize: true };
      delete layout.template; /* the page is the template */
      delete layout.width;
      if (threeDimensional(figure) && !layout.scene) layout.scene = {};
      const options = { responsive: true, displaylogo: false, modeBarButtonsToRemove: ["toImage"] };
      window.Plotly.newPlot(stage, figure.data, layout, options).then(() => {
        frame.classList.add("az-plotly-drawn");
        const repaint = () => window.Plotly.relayout(stage, colours(layout));
        repaint();
        if (threeDimensional(figure) && layout.scene) turnByKeys(stage, frame.getAttribute("aria-label"));
        new MutationObserver(repaint).observe(root, { attributes: true, attributeFilter: ["data-theme"] });
      });
    }
  }

  /* Citations: the entry in a small card by the citation, on hover, on focus, and on the first tap. */
  function previewCitations() {
    const template = document.getElementById("az-cited");
    if (!template) return;
    const entries = new Map([...template.content.children].map((entry) => [entry.dataset.cites, entry]));
    const card = document.createElement("div");
    card.className = "az-card";
    card.id = "az-cited-card";
    card.setAttribute("role", "tooltip");
    card.hidden = true;
    document.body.append(card);
    let timer = 0;
    const hide = () => { card.hidden = true; };
    const later = () => { clearTimeout(timer); timer = setTimeout(hide, 220); };
    const show = (link, entry) => {
      clearTimeout(timer);
      card.replaceChildren(...entry.cloneNode(true).childNodes);
      card.hidden = false;
      const place = link.getBoundingClientRect(), size = card.getBoundingClientRect();
      const left = Math.min(Math.max(12, place.left), innerWidth - size.width - 12);
      const below = place.bottom + 8 + size.height < innerHeight;
      card.style.left = `${left + scrollX}px`;
      card.style.top = `${(below ? place.bottom + 8 : place.top - size.height - 8) + scrollY}px`;
    };
    card.addEventListener("pointerenter", () => clearTimeout(timer));
    card.addEventListener("pointerleave", later);
    document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
    document.addEventListener("pointerdown", (event) => {
      if (!event.target.closest(".az-card, .bibtex-citation")) hide();
    });
    for (const link of document.querySelectorAll(".bibtex-citation a, .az-hero a[href*='#']")) {
      const entry = entries.get(decodeURIComponent(link.hash.slice(1)));
      if (!entry) continue;
      link.setAttribute("aria-describedby", card.id);
      let touched = false;
      link.addEventListener("pointerenter", (event) => { if (event.pointerType === "mouse") show(link, entry); });
      link.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") later(); });
      link.addEventListener("focus", () => show(link, entry));
      link.addEventListener("blur", later);
      link.addEventListener("pointerdown", (event) => { touched = event.pointerType === "touch" && card.hidden; });
      link.addEventListener("click", (event) => { if (touched) { event.preventDefault(); show(link, entry); touched = false; } });
    }
  }

  /* What scrolls sideways must be reachable by keyboard; what does not should not be a stop on the way. */
  function reachScrollers() {
    for (const region of document.querySelectorAll(".highlight pre, .az-scroll, mjx-container[display='true']"))
      if (region.scrollWidth > region.clientWidth + 1) region.tabIndex = 0;
  }

  /* Sphinx takes the lines under a search result from the page's text: not from its formulas, code and provenance. */
  function plainResults() {
    if (typeof Search === "undefined" || !Search.htmlToText) return;
    if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false; /* files may not fetch files */
    const toText = Search.htmlToText;
    Search.htmlToText = (html, anchor) => {
      const page = new DOMParser().parseFromString(html, "text/html");
      page.querySelectorAll(".math, .cell_input, .az-origin, details.hide, template, .headerlink").forEach((part) => part.remove());
      return toText(page.documentElement.outerHTML, anchor);
    };
  }

  plainResults();
  drawFigures();
  previewCitations();
  reachScrollers();
  addEventListener("resize", reachScrollers);
  addEventListener("load", () => setTimeout(reachScrollers, 400));
})();
