/* The telescope: a finder, a sky, and a card for the token in view, which the address of the page names. */
(() => {
  "use strict";
  const { make, drawn, minus, whole, number, tokenBox, link, expose, gauges, search, skyMap } = globalThis.azimuthTelescope;

  const frame = document.querySelector(".az-telescope");
  if (!frame) return;

  function finder(plate, go, say) {
    const input = make("input", {
      type: "text", id: "az-tel-query", class: "az-tel-query", placeholder: "a text, or #id", maxlength: "200", autocomplete: "off", autocapitalize: "off",
      spellcheck: "false", role: "combobox", "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": "az-tel-found",
    });
    const list = make("ul", { id: "az-tel-found", class: "az-tel-found", role: "listbox", "aria-label": "Tokens found", hidden: "" });
    const note = make("p", { class: "az-tel-note" });
    let found = [], active = -1;
    const close = () => {
      list.hidden = true;
      active = -1;
      input.setAttribute("aria-expanded", "false");
      input.removeAttribute("aria-activedescendant");
    };
    const mark = (place) => {
      list.children[active]?.setAttribute("aria-selected", "false");
      active = place;
      const option = list.children[active];
      if (!option) return input.removeAttribute("aria-activedescendant");
      option.setAttribute("aria-selected", "true");
      option.scrollIntoView({ block: "nearest" });
      input.setAttribute("aria-activedescendant", option.id);
    };
    const choose = (place) => {
      if (!found[place]) return;
      close();
      go(found[place].token);
    };
    const ask = () => {
      const answer = search(plate, input.value);
      found = answer.found;
      close();
      list.replaceChildren(...found.map(({ token, why }, place) => {
        const option = make("li", { role: "option", id: `az-tel-option-${place}`, "aria-selected": "false" });
        option.append(tokenBox(plate.texts[token]), make("span", {}, `#${token}`), make("span", {}, why));
        option.addEventListener("pointerdown", (event) => { event.preventDefault(); choose(place); });
        return option;
      }));
      list.scrollTop = 0;
      list.hidden = !found.length;
      input.setAttribute("aria-expanded", String(Boolean(found.length)));
      const counted = answer.total === 1 ? "1 token" : `${whole(answer.total)} tokens`;
      if (!input.value) note.textContent = "";
      else if (!answer.total) note.textContent = "No token is written like that. A word is often several tokens: try its beginning.";
      else note.textContent = answer.total > found.length ? `${counted}; the first ${found.length} are listed.` : `${counted}.`;
      say(note.textContent);
    };
    input.addEventListener("input", ask);
    input.addEventListener("focus", () => { if (input.value && list.hidden && document.activeElement === input) input.select(); });
    input.addEventListener("blur", close);
    input.addEventListener("keydown", (event) => {
      if (event.key === "ArrowDown" || event.key === "ArrowUp") {
        event.preventDefault();
        if (list.hidden && input.value) ask();
        const step = event.key === "ArrowDown" ? 1 : -1, last = found.length - 1;
        if (last >= 0) mark(active < 0 ? (step > 0 ? 0 : last) : (active + step + last + 1) % (last + 1));
      } else if (event.key === "Enter") {
        event.preventDefault();
        if (list.hidden && input.value) ask();
        choose(Math.max(active, 0));
      } else if (event.key === "Escape") close();
    });
    const example = plate.header.examples.map((token) => link(plate, token));
    const chance = make("button", { type: "button", class: "az-tel-button" }, "any token");
    chance.addEventListener("click", () => go(Math.floor(Math.random() * plate.count)));
    return make("div", { class: "az-tel-finder" },
      make("label", { for: "az-tel-query" }, "Point the telescope at"),
      make("div", { class: "az-tel-field" }, input, list), note,
      make("p", { class: "az-tel-try" }, "or at ", ...example.flatMap((one) => [one, " "]), chance));
  }

  /* One token's card */
  function histogram(gauge, value) {
    const shape = { viewBox: "0 0 144 40", class: "az-tel-histogram", preserveAspectRatio: "none", "aria-hidden": "true" };
    const top = Math.max(...gauge.bars), picture = drawn("svg", shape);
    let path = "M0 40";
    gauge.bars.forEach((bar, i) => { path += `V${(40 - 36 * bar / top).toFixed(1)}H${2 * i + 2}`; });
    picture.append(drawn("path", { d: `${path}V40Z` }));
    const x = Number.isFinite(value) ? 144 * gauge.place(value) : 144;
    picture.append(drawn("line", { x1: x, x2: x, y1: 0, y2: 40, "vector-effect": "non-scaling-stroke" }));
    return picture;
  }
  function tile(gauge, token) {
    const value = gauge.of[token], finite = Number.isFinite(value);
    const share = (100 * (finite ? gauge.below(value) : gauge.sorted.length / gauge.of.length)).toFixed(1);
    return make("div", { class: "az-tel-tile" },
      make("dt", {}, gauge.name),
      make("dd", {},
        make("strong", {}, finite ? number(value, gauge.log ? 3 : 4) : "infinite"),
        make("span", {}, finite ? ` ${gauge.unit}` : ` all ${gauge.k} at distance 0`),
        histogram(gauge, value),
        make("span", { class: "az-tel-share" }, `${gauge.more} ${share}%`)));
  }
  function company(plate, space, token) {
    const near = plate.spaces[space], first = token * near.k;
    const elsewhere = Object.values(plate.spaces).filter((other) => other !== near);
    const others = new Set(elsewhere.flatMap((other) => [...other.ids.subarray(token * other.k, (token + 1) * other.k)]));
    const longest = near.distances[first + near.k - 1] || 1, list = make("ol", { class: "az-tel-near-list" });
    for (let i = first; i < first + near.k; i++) {
      const other = near.ids[i], row = make("li", {}, link(plate, other));
      row.append(make("span", { class: "az-tel-id" }, `#${other}`), make("span", { class: "az-tel-distance" }, number(near.distances[i], 3)));
      if (others.has(other)) {
        row.classList.add("az-tel-both");
        row.firstChild.append(make("span", { class: "az-tel-hidden" }, ", near in both spaces"));
      }
      row.style.setProperty("--az-far", near.distances[i] / longest);
      list.append(row);
    }
    const popular = near.popularity[token], fans = popular ? `${whole(popular)} ${popular === 1 ? "token" : "tokens"}` : "nobody";
    return make("div", { role: "group", class: `az-tel-company az-tel-${space}`, "aria-label": `The ${near.k} nearest in ${space} space` },
      make("h4", {}, `${near.k} nearest in ${space} space`),
      make("p", {}, `Distances in ${near.unit}. Itself among the nearest ${near.k} of ${fans}.`), list);
  }
  function fill(card, plate, scales, token) {
    const title = make("h3", { tabindex: "-1", class: "az-tel-title" }, tokenBox(plate.texts[token]));
    const hole = plate.hole[token], members = hole ? plate.members.get(hole) : [];
    const facts = [`token ${whole(token)}`, plate.script(token)];
    const copy = make("button", { type: "button", class: "az-tel-button" }, "copy link");
    copy.addEventListener("click", async () => {
      try { await navigator.clipboard.writeText(location.href); copy.textContent = "copied"; } catch { copy.textContent = "the link is in the address bar"; }
    });
    const line = make("p", { class: "az-tel-facts" }, `${facts.join(" \u00b7 ")} `, copy);
    const rows = make("dl", { class: "az-tel-places" });
    const angle = (degrees) => minus(`${degrees.toFixed(1)}\u00b0`);
    const seen = `longitude ${angle(plate.longitude[token])}, latitude ${angle(plate.latitude[token])}`;
    const places = {
      "on the sky": Number.isFinite(plate.longitude[token]) ? seen : "at the centroid: no direction",
      "first three axes (gamma units)": [1, 2, 3].map((axis) => minus(plate.values[`axis ${axis}`][token].toFixed(3))).join(", "),
      "raw norm": `${number(plate.values["raw norm"][token])} gamma units`,
    };
    for (const [what, said] of Object.entries(places)) rows.append(make("div", {}, make("dt", {}, what), make("dd", {}, said)));
    const dark = make("dd", {}, hole ? `number ${hole}, of ${whole(members.length)} tokens: ` : "not in one");
    members.filter((other) => other !== token).slice(0, 24).forEach((other) => dark.append(link(plate, other), " "));
    if (members.length > 25) dark.append(`and ${whole(members.length - 25)} more`);
    rows.append(make("div", {}, make("dt", {}, "black hole"), dark));
    const tiles = make("dl", { class: "az-tel-tiles" }, ...scales.map((gauge) => tile(gauge, token)));
    const companies = Object.keys(plate.spaces).map((space) => company(plate, space, token));
    card.replaceChildren(title, line, rows, tiles, make("div", { class: "az-tel-companies" }, ...companies));
    return title;
  }

  /* All together */
  async function open() {
    const missing = frame.querySelector(".az-telescope-missing");
    if (typeof DecompressionStream === "undefined" || !globalThis.azimuthPlate) {
      const reason = globalThis.azimuthPlate ? "This browser cannot unpack the telescope's plate (it has no DecompressionStream)" : "The telescope's plate did not load";
      missing.textContent = `${reason}; the table below shows some tokens.`;
      return;
    }
    missing.textContent = "Opening the shutter \u2026";
    const plate = await expose(globalThis.azimuthPlate);
    delete globalThis.azimuthPlate;
    const scales = gauges(plate);
    const status = make("div", { class: "az-tel-hidden", role: "status", "aria-live": "polite" });
    const say = (text) => { status.textContent = text; };
    const card = make("div", { class: "az-tel-card", role: "region", "aria-label": "The token in the telescope" });
    let shown = -1;
    const asked = () => { const found = /^#token-(\d+)$/.exec(location.hash); return found ? Number(found[1]) : -1; };
    const show = (token) => {
      const title = fill(card, plate, scales, token);
      const walking = card.dataset.walking === "1";
      map.point(token);
      shown = token;
      const [space, near] = Object.entries(plate.spaces)[0];
      say(`${plate.texts[token]}, token ${token}. Nearest in ${space} space: ${plate.texts[near.ids[token * near.k]]}.`);
      if (walking) { title.focus({ preventScroll: true }); title.scrollIntoView({ block: "nearest" }); }
      card.dataset.walking = "";
    };
    const go = (token) => { if (asked() === token) show(token); else location.hash = `token-${token}`; };
    const map = skyMap(plate, scales, go, say);
    card.addEventListener("click", (event) => { if (event.target.closest("a.az-tel-link")) card.dataset.walking = "1"; });
    addEventListener("hashchange", () => {
      const token = asked();
      if (token >= plate.count) say(`There is no token ${token}: the last is ${plate.count - 1}.`);
      else if (token >= 0 && token !== shown) show(token);
      else if (!location.hash) show(first);
    });
    const first = plate.header.examples[0] ?? 0;
    const keys = Object.keys(plate.spaces).map((space) => make("span", { class: `az-tel-key az-tel-${space}` }, `nearest in ${space} space`));
    frame.replaceChildren(finder(plate, go, say), map.stage, make("p", { class: "az-tel-legend" }, ...keys), card, status);
    show(asked() >= 0 && asked() < plate.count ? asked() : first);
    frame.dataset.open = "1";
    frame.azimuthPlate = plate; /* for whoever wants to look at it from the console */
    frame.azimuthMap = map;
  }
  open();
})();
