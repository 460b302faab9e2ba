/* The telescope: every token of the model, looked at one by one. Plain JavaScript over one packed script
   (compute/telescope.py says how it is packed). Texts of tokens are foreign: they only ever become text nodes. */
(() => {
  "use strict";
  const frame = document.querySelector(".az-telescope");
  if (!frame) return;

  /* Small tools */
  const make = (name, attributes = {}, ...children) => {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children);
    return element;
  };
  const drawn = (name, attributes = {}) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return element;
  };
  const minus = (text) => text.replace(/-/g, "\u2212");
  const whole = (value) => value.toLocaleString("en-US");
  const number = (value, digits = 4) => {
    if (value === 0) return "0";
    const size = Math.abs(value);
    return minus(size >= 1e5 || size < 1e-3 ? value.toExponential(digits - 1) : value.toPrecision(digits));
  };

  /* The plate: 15 bits a character, deflated, arrays as planes of bytes */
  async function expose([length, text]) {
    const packed = new Uint8Array(length);
    for (let i = 0, at = 0, bits = 0, held = 0; at < length; i++) {
      held |= (text.charCodeAt(i) - 0x3400) << bits;
      for (bits += 15; bits >= 8 && at < length; bits -= 8, held >>>= 8) packed[at++] = held & 255;
    }
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
    const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
    let start = 4 + new DataView(bytes.buffer).getUint32(0, true);
    const header = JSON.parse(new TextDecoder().decode(bytes.subarray(4, start)));
    const arrays = {};
    for (const [name, width, size] of header.arrays) {
      const values = width === 1 ? bytes.subarray(start, start + size) : new Uint32Array(size);
      for (let plane = 0; width > 1 && plane < width; plane++)
        for (let i = 0, at = start + plane * size; i < size; i++) values[i] += bytes[at + i] * 2 ** (8 * plane);
      arrays[name] = values;
      start += width * size;
    }
    return develop(header, arrays);
  }

  /* What follows from the arrays: texts, values, neighbours by id, densities, places on the sky */
  function develop(header, arrays) {
    const count = header.count, values = {}, spaces = {};
    const texts = new TextDecoder().decode(arrays.texts).split("\n");
    for (const [name, [low, step]] of Object.entries(header.scales))
      values[name] = Float64Array.from(arrays[name], (level) => low + step * level);
    for (const [space, { k, low, step, unit }] of Object.entries(header.spaces)) {
      const popularity = arrays[`${space} popularity`];
      const order = Uint32Array.from(popularity.keys()).sort((a, b) => popularity[b] - popularity[a] || a - b);
      const ids = arrays[`${space} ranks`].map((rank) => order[rank]);
      const distances = new Float64Array(count * k), density = new Float64Array(count);
      for (let token = 0; token < count; token++) {
        let level = 0, sum = 0;
        for (let i = token * k; i < (token + 1) * k; i++) {
          level += arrays[`${space} levels`][i];
          sum += distances[i] = level ? low * Math.exp((level - 1) * step) : 0;
        }
        density[token] = k / sum; /* the density of the chapter on it: one over the mean distance */
      }
      spaces[space] = { k, unit, ids, distances, density, popularity };
    }
    const [x, y, z] = [1, 2, 3].map((axis) => values[`axis ${axis}`]);
    const finest = 2 * Math.max(...[1, 2, 3].map((axis) => header.scales[`axis ${axis}`][1]));
    const longitude = new Float64Array(count), latitude = new Float64Array(count);
    for (let i = 0; i < count; i++) {
      const radius = Math.hypot(x[i], y[i], z[i]); /* nearer than the steps of the plate: no direction */
      longitude[i] = radius > finest ? Math.atan2(y[i], x[i]) * 180 / Math.PI : NaN;
      latitude[i] = radius > finest ? Math.asin(z[i] / radius) * 180 / Math.PI : NaN;
    }
    const members = new Map();
    arrays.hole.forEach((hole, token) => { if (hole) members.set(hole, [...(members.get(hole) || []), token]); });
    const script = (token) => header.scripts[arrays.script[token]];
    return { header, count, texts, values, spaces, longitude, latitude, hole: arrays.hole, members, script };
  }

  /* Quantities with a place among all tokens */
  function gauges(plate) {
    const list = [
      { name: "centred norm", unit: "gamma units", of: plate.values["centred norm"], more: "farther out than" },
      { name: "causal norm", unit: "logometers", of: plate.values["causal norm"], more: "farther out than" },
    ];
    for (const [space, near] of Object.entries(plate.spaces))
      list.push({ name: `density, ${space} space`, unit: `per ${near.unit.replace(/s$/, "")}`, of: near.density, more: "denser than", log: true, k: near.k });
    for (const gauge of list.filter((one) => one.of)) {
      const finite = Float64Array.from(gauge.of).filter(Number.isFinite).sort();
      const at = (part) => finite[Math.min(finite.length - 1, Math.floor(part * finite.length))];
      const scale = gauge.log ? Math.log : (value) => value;
      gauge.sorted = finite;
      gauge.low = scale(at(0)); gauge.high = scale(at(1));
      if (gauge.log) { gauge.low = scale(at(0.0005)); gauge.high = scale(at(0.9995)); }
      gauge.place = (value) => Math.min(1, Math.max(0, (scale(value) - gauge.low) / (gauge.high - gauge.low || 1)));
      gauge.dim = at(0.001); gauge.bright = at(0.999);
      gauge.shade = (value) => Math.min(1, Math.max(0, (scale(value) - scale(gauge.dim)) / (scale(gauge.bright) - scale(gauge.dim) || 1)));
      gauge.bars = new Float64Array(72);
      for (const value of finite) gauge.bars[Math.min(71, Math.floor(gauge.place(value) * 72))]++;
      gauge.below = (value) => {
        let from = 0, to = finite.length;
        while (from < to) { const middle = (from + to) >> 1; if (finite[middle] < value) from = middle + 1; else to = middle; }
        return from / gauge.of.length;
      };
    }
    return list.filter((one) => one.of);
  }

  const tokenBox = (text) => {
    const box = make("code", { class: "az-token", translate: "no" });
    const inside = make("bdi");
    inside.textContent = text;
    box.append(inside);
    return box;
  };
  const link = (plate, token) => make("a", { href: `#token-${token}`, class: "az-tel-link" }, tokenBox(plate.texts[token]));

  /* The finder: exact texts first, then beginnings, then what contains the words; ids where one asks for an id */
  function search(plate, asked, most = 60) {
    const found = [], seen = new Set();
    const take = (token, why) => { if (!seen.has(token)) { seen.add(token); found.push({ token, why }); } };
    const id = /^\s*#?\s*(\d+)\s*$/.exec(asked);
    if (id && Number(id[1]) < plate.count) take(Number(id[1]), "id");
    const shown = asked.replace(/^ +| +$/g, (spaces) => "\u2423".repeat(spaces.length));
    const plain = shown.toLowerCase(), ranks = [[], [], [], [], []];
    if (shown) plate.texts.forEach((text, token) => {
      if (text === shown) ranks[0].push(token);
      else if (text === `\u2423${shown}`) ranks[1].push(token);
      else {
        const small = text.toLowerCase(), at = small.indexOf(plain);
        if (at < 0) return;
        const bare = small.replace(/^\u2423/, "");
        ranks[bare === plain || small === plain ? 2 : at === 0 || bare.startsWith(plain) ? 3 : 4].push(token);
      }
    });
    const why = ["exact", "with a space", "other case", "begins", "contains"];
    ranks.forEach((tokens, rank) => tokens.slice(0, most).forEach((token) => take(token, why[rank])));
    return { found: found.slice(0, most), total: new Set(ranks.flat()).size + (found[0]?.why === "id" && !ranks.flat().includes(found[0].token) ? 1 : 0) };
  }

  function finder(plate, go, say) {
    const input = make("input", { type: "text", id: "az-tel-query", class: "az-tel-query", role: "combobox", autocomplete: "off", autocapitalize: "off", spellcheck: "false", "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": "az-tel-found", placeholder: "a text, or #id", maxlength: "200" });
    const list = make("ul", { id: "az-tel-found", class: "az-tel-found", role: "listbox", "aria-label": "Tokens found", hidden: "" });
    const note = make("p", { class: "az-tel-note" });
    let found = [], active = -1;
    const close = () => { list.hidden = true; active = -1; input.setAttribute("aria-expanded", "false"); input.removeAttribute("aria-activedescendant"); };
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
        const option = make("li", { role: "option", id: `az-tel-option-${place}`, "aria-selected": "false" }, tokenBox(plate.texts[token]), make("span", {}, `#${token}`), make("span", {}, why));
        option.addEventListener("pointerdown", (event) => { event.preventDefault(); choose(place); });
        return option;
      }));
      list.scrollTop = 0;
      list.hidden = !found.length;
      input.setAttribute("aria-expanded", String(Boolean(found.length)));
      note.textContent = !input.value ? "" : answer.total === 0 ? "No token is written like that. A word is often several tokens: try its beginning." : answer.total > found.length ? `${whole(answer.total)} tokens; the first ${found.length} are listed.` : `${whole(answer.total)} ${answer.total === 1 ? "token" : "tokens"}.`;
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

  /* The sky in Mollweide's projection, on two canvases: stars below, what is pointed at above */
  const STOPS = ["#160b39", "#420a68", "#6a176e", "#932667", "#bc3754", "#dd513a", "#f37819", "#fca50a", "#f6d746", "#fcffa4"];
  const inferno = (part) => {
    const place = part * (STOPS.length - 1), low = Math.min(STOPS.length - 2, Math.floor(place)), rest = place - low;
    const [from, to] = [STOPS[low], STOPS[low + 1]].map((stop) => [1, 3, 5].map((at) => parseInt(stop.slice(at, at + 2), 16)));
    return `rgb(${from.map((value, i) => Math.round(value + rest * (to[i] - value))).join(" ")})`;
  };
  const mollweide = (longitude, latitude) => {
    const beta = latitude * Math.PI / 180;
    let theta = beta;
    if (Math.abs(latitude) > 89.999) theta = Math.sign(latitude) * Math.PI / 2;
    else for (let i = 0; i < 12; i++) theta -= (2 * theta + Math.sin(2 * theta) - Math.PI * Math.sin(beta)) / (2 + 2 * Math.cos(2 * theta));
    return [longitude / 90 * Math.cos(theta), Math.sin(theta)];
  };

  function skyMap(plate, scales, go, say) {
    const stars = make("canvas", { "aria-hidden": "true" }), over = make("canvas", { tabindex: "0", role: "application", class: "az-tel-over", "aria-label": "Map of the sky, all tokens. Arrow keys move the crosshair, with Shift by a little; Enter points the telescope at the star nearest to it; plus and minus zoom, 0 shows all." });
    const name = make("div", { class: "az-tel-name", hidden: "", "aria-hidden": "true" });
    const colour = make("select", { "aria-label": "Colour of the stars" }, ...scales.map((scale, i) => make("option", { value: i }, scale.name)));
    const buttons = [["\u2212", "Zoom out", 1 / 1.6], ["+", "Zoom in", 1.6], ["All", "Show the whole sky", 0]].map(([sign, label, factor]) => {
      const button = make("button", { type: "button", "aria-label": label }, sign);
      button.addEventListener("click", () => factor ? zoom(factor) : all());
      return button;
    });
    const stage = make("div", { class: "az-tel-sky" }, stars, over, name, make("div", { class: "az-tel-tools" }, make("label", {}, "colour ", colour), ...buttons));
    const px = new Float64Array(plate.count), py = new Float64Array(plate.count);
    for (let i = 0; i < plate.count; i++) [px[i], py[i]] = mollweide(plate.longitude[i], plate.latitude[i]);
    let scale = scales[0], chosen = -1, view = { x: 0, y: 0, zoom: 1 }, width = 0, height = 0, cross = null, frameAsked = 0;

    const unit = () => view.zoom * Math.min(width / 4.12, height / 2.1);
    const toScreen = (x, y) => [width / 2 + (x - view.x) * unit(), height / 2 - (y - view.y) * unit()];
    const toMap = (left, top) => [view.x + (left - width / 2) / unit(), view.y - (top - height / 2) / unit()];
    const bound = () => {
      view.zoom = Math.min(400, Math.max(1, view.zoom));
      const free = 1 - 1 / view.zoom;
      view.x = Math.min(2 * free, Math.max(-2 * free, view.x));
      view.y = Math.min(free, Math.max(-free, view.y));
      over.classList.toggle("az-tel-near", view.zoom > 1);
    };
    const redraw = () => { frameAsked ||= requestAnimationFrame(() => { frameAsked = 0; paintStars(); paintOver(); }); };
    const zoom = (factor, left = width / 2, top = height / 2) => {
      const [x, y] = toMap(left, top);
      view.zoom = Math.min(400, Math.max(1, view.zoom * factor));
      view.x = x - (left - width / 2) / unit();
      view.y = y + (top - height / 2) / unit();
      bound(); redraw();
    };
    const all = () => { view = { x: 0, y: 0, zoom: 1 }; bound(); redraw(); };

    function paper(canvas) {
      const ratio = Math.min(2, devicePixelRatio || 1), context = canvas.getContext("2d");
      if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
        canvas.width = Math.round(width * ratio); canvas.height = Math.round(height * ratio);
      }
      context.setTransform(ratio, 0, 0, ratio, 0, 0);
      context.clearRect(0, 0, width, height);
      return context;
    }
    function graticule(context) {
      context.strokeStyle = "rgb(120 140 165 / .28)"; context.lineWidth = 0.7;
      const line = (points) => { context.beginPath(); points.forEach(([a, b]) => context.lineTo(...toScreen(...mollweide(a, b)))); context.stroke(); };
      const steps = [...Array(61).keys()].map((i) => -90 + 3 * i);
      for (let a = -180; a <= 180; a += 60) line(steps.map((b) => [a, b]));
      for (const b of [-60, -30, 0, 30, 60]) line([[-180, b], [180, b]]);
      context.fillStyle = "#8493a6"; context.font = "11px sans-serif"; context.textAlign = "center";
      if (view.zoom < 1.5 && width > 500) {
        for (const a of [-120, -60, 0, 60, 120]) { const [left, top] = toScreen(...mollweide(a, 0)); context.fillText(minus(`${a}\u00b0`), left, top - 4); }
        for (const b of [-60, -30, 30, 60]) { const [left, top] = toScreen(...mollweide(-180, b)); context.textAlign = "right"; context.fillText(minus(`${b}\u00b0`), left - 6, top + 4); }
      }
    }
    function paintStars() {
      const context = paper(stars);
      graticule(context);
      const size = Math.min(5, Math.max(1, 1.15 * Math.sqrt(49152 / plate.count)) * Math.sqrt(Math.sqrt(view.zoom)) * (width < 500 ? 0.8 : 1));
      const shades = 48, buckets = Array.from({ length: shades }, () => []);
      const [left, top] = toMap(-5, -5), [right, bottom] = toMap(width + 5, height + 5);
      for (let i = 0; i < plate.count; i++) {
        if (!(px[i] >= left && px[i] <= right && py[i] <= top && py[i] >= bottom)) continue;
        const value = scale.of[i];
        buckets[Math.min(shades - 1, Math.floor((Number.isFinite(value) ? scale.shade(value) : 1) * shades))].push(i);
      }
      const each = unit(), originX = width / 2 - view.x * each - size / 2, originY = height / 2 + view.y * each - size / 2;
      buckets.forEach((bucket, shade) => {
        context.fillStyle = inferno(0.22 + 0.78 * shade / (shades - 1)); /* the dimmest stars must still be seen on black */
        if (size > 2.4) for (const i of bucket) { context.beginPath(); context.arc(originX + px[i] * each + size / 2, originY - py[i] * each + size / 2, size / 2, 0, 7); context.fill(); }
        else for (const i of bucket) context.fillRect(originX + px[i] * each, originY - py[i] * each, size, size);
      });
    }
    function paintOver() {
      const context = paper(over);
      if (chosen >= 0 && Number.isFinite(px[chosen])) {
        const here = toScreen(px[chosen], py[chosen]);
        Object.values(plate.spaces).forEach((near, which) => {
          context.strokeStyle = context.fillStyle = which ? "#f5a04a" : "#5ec8ff"; context.lineWidth = 1;
          for (let i = chosen * near.k; i < (chosen + 1) * near.k; i++) {
            const other = near.ids[i];
            if (!Number.isFinite(px[other])) continue;
            const there = toScreen(px[other], py[other]);
            context.globalAlpha = 0.42; context.beginPath(); context.moveTo(...here); context.lineTo(...there); context.stroke();
            context.globalAlpha = 0.95; context.beginPath(); context.arc(...there, which ? 3.6 : 2.4, 0, 7); which ? context.stroke() : context.fill();
          }
        });
        context.globalAlpha = 1; context.strokeStyle = "#fff"; context.lineWidth = 1.6;
        context.beginPath(); context.arc(...here, 8.5, 0, 7); context.stroke();
        context.beginPath(); for (const [a, b] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) { context.moveTo(here[0] + 8.5 * a, here[1] + 8.5 * b); context.lineTo(here[0] + 14 * a, here[1] + 14 * b); } context.stroke();
      }
      if (cross && document.activeElement === over) {
        const [left, top] = cross;
        context.strokeStyle = "#fff"; context.lineWidth = 1; context.setLineDash([3, 3]);
        context.beginPath(); context.moveTo(left - 22, top); context.lineTo(left + 22, top); context.moveTo(left, top - 22); context.lineTo(left, top + 22); context.stroke(); context.setLineDash([]);
      }
    }
    /* the star nearest to a point of the screen, within a reach in pixels; of equals, the lowest id */
    const nearest = (left, top, reach) => {
      const [x, y] = toMap(left, top);
      let best = -1, least = (reach / unit()) ** 2;
      for (let i = 0; i < plate.count; i++) {
        const away = (px[i] - x) ** 2 + (py[i] - y) ** 2;
        if (away < least) { least = away; best = i; }
      }
      return best;
    };
    const tell = (star, left, top) => {
      name.hidden = star < 0;
      if (star < 0) return;
      name.replaceChildren(tokenBox(plate.texts[star]), ` #${star}`);
      const wide = name.offsetWidth;
      name.style.left = `${Math.min(Math.max(4, left + 12), width - wide - 4)}px`;
      name.style.top = `${top > height - 60 ? top - 42 : top + 14}px`;
    };
    const spot = (event) => { const box = over.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
    const held = new Map();
    let moved = 0, apart = 0;
    over.addEventListener("pointerdown", (event) => { held.set(event.pointerId, spot(event)); moved = 0; apart = 0; });
    over.addEventListener("pointermove", (event) => {
      const now = spot(event), before = held.get(event.pointerId);
      if (!before) { if (event.pointerType === "mouse") tell(nearest(...now, 12), ...now); return; }
      moved += Math.hypot(now[0] - before[0], now[1] - before[1]);
      held.set(event.pointerId, now);
      if (held.size === 2) {
        const [a, b] = [...held.values()], far = Math.hypot(a[0] - b[0], a[1] - b[1]);
        if (apart) zoom(far / apart, (a[0] + b[0]) / 2, (a[1] + b[1]) / 2);
        apart = far;
      } else if (view.zoom > 1 && moved > 4) {
        if (!over.hasPointerCapture(event.pointerId)) over.setPointerCapture(event.pointerId);
        view.x -= (now[0] - before[0]) / unit(); view.y += (now[1] - before[1]) / unit();
        bound(); redraw(); tell(-1);
      }
    });
    const release = (event) => { held.delete(event.pointerId); apart = 0; };
    over.addEventListener("pointerup", (event) => {
      const here = spot(event), star = moved > 5 || held.size > 1 ? -1 : nearest(...here, event.pointerType === "touch" ? 24 : 14);
      release(event);
      cross = here;
      if (star >= 0) go(star);
    });
    over.addEventListener("pointercancel", release);
    over.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") tell(-1); });
    over.addEventListener("dblclick", (event) => zoom(2.2, ...spot(event)));
    over.addEventListener("wheel", (event) => { if (event.ctrlKey) { event.preventDefault(); zoom(Math.exp(-event.deltaY / 180), ...spot(event)); } }, { passive: false });
    let pause = 0;
    over.addEventListener("keydown", (event) => {
      const step = event.shiftKey ? 3 : 18, moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
      cross ||= chosen >= 0 && Number.isFinite(px[chosen]) ? toScreen(px[chosen], py[chosen]) : [width / 2, height / 2];
      if (moves[event.key]) cross = [Math.min(width, Math.max(0, cross[0] + step * moves[event.key][0])), Math.min(height, Math.max(0, cross[1] + step * moves[event.key][1]))];
      else if (event.key === "+" || event.key === "=") zoom(1.6, ...cross);
      else if (event.key === "-") zoom(1 / 1.6, ...cross);
      else if (event.key === "0") all();
      else if (event.key === "Enter" || event.key === " ") { const star = nearest(...cross, Infinity); if (star >= 0) go(star); }
      else return;
      event.preventDefault();
      const star = nearest(...cross, Infinity);
      tell(star, ...cross);
      clearTimeout(pause);
      if (moves[event.key] && star >= 0) pause = setTimeout(() => say(`${plate.texts[star]}, token ${star}`), 350);
      paintOver();
    });
    over.addEventListener("focus", paintOver);
    over.addEventListener("blur", () => { tell(-1); paintOver(); });
    colour.addEventListener("change", () => { scale = scales[colour.value]; redraw(); });
    new ResizeObserver(() => {
      const box = stage.getBoundingClientRect();
      if (!box.width || (box.width === width && box.height === height)) return;
      width = box.width; height = box.height; cross = null; bound(); paintStars(); paintOver();
    }).observe(stage);
    const point = (token) => {
      chosen = token;
      const [left, top] = toScreen(px[token], py[token]);
      if (view.zoom > 1 && !(left > 20 && left < width - 20 && top > 20 && top < height - 20) && Number.isFinite(px[token])) { view.x = px[token]; view.y = py[token]; bound(); redraw(); }
      else paintOver();
    };
    return { stage, point, where: (token) => toScreen(px[token], py[token]) };
  }

  /* One token's card */
  function histogram(gauge, value) {
    const top = Math.max(...gauge.bars), picture = drawn("svg", { viewBox: "0 0 144 40", class: "az-tel-histogram", preserveAspectRatio: "none", "aria-hidden": "true" });
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
      make("dd", {}, make("strong", {}, finite ? number(value, gauge.log ? 3 : 4) : "infinite"), make("span", {}, finite ? ` ${gauge.unit}` : ` all ${gauge.k} at distance 0`), histogram(gauge, value), make("span", { class: "az-tel-share" }, `${gauge.more} ${share}%`)));
  }
  function company(plate, space, token) {
    const near = plate.spaces[space], first = token * near.k, others = new Set();
    for (const [name, other] of Object.entries(plate.spaces)) if (name !== space) for (const id of other.ids.subarray(token * other.k, (token + 1) * other.k)) others.add(id);
    const longest = near.distances[first + near.k - 1] || 1, list = make("ol", { class: "az-tel-near-list" });
    for (let i = first; i < first + near.k; i++) {
      const other = near.ids[i], row = make("li", {}, link(plate, other), make("span", { class: "az-tel-id" }, `#${other}`), make("span", { class: "az-tel-distance" }, number(near.distances[i], 3)));
      if (others.has(other)) { row.classList.add("az-tel-both"); row.firstChild.append(make("span", { class: "az-tel-hidden" }, ", near in both spaces")); }
      row.style.setProperty("--az-far", near.distances[i] / longest);
      list.append(row);
    }
    return make("div", { role: "group", class: `az-tel-company az-tel-${space}`, "aria-label": `The ${near.k} nearest in ${space} space` },
      make("h4", {}, `${near.k} nearest in ${space} space`), make("p", {}, `Distances in ${near.unit}. ${near.popularity[token] ? `Itself among the nearest ${near.k} of ${whole(near.popularity[token])} ${near.popularity[token] === 1 ? "token" : "tokens"}.` : `Among the nearest ${near.k} of nobody.`}`), list);
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
    const place = Number.isFinite(plate.longitude[token]) ? `longitude ${minus(plate.longitude[token].toFixed(1))}\u00b0, latitude ${minus(plate.latitude[token].toFixed(1))}\u00b0` : "at the centroid: no direction";
    const axes = [1, 2, 3].map((axis) => minus(plate.values[`axis ${axis}`][token].toFixed(3))).join(", ");
    for (const [what, said] of [["on the sky", place], ["first three axes", `(${axes}) gamma units`], ["raw norm", `${number(plate.values["raw norm"][token])} gamma units`]]) rows.append(make("div", {}, make("dt", {}, what), make("dd", {}, said)));
    const dark = make("dd", {}, hole ? `number ${hole}, of ${whole(members.length)} tokens: ` : "not in one");
    members.filter((other) => other !== token).slice(0, 24).forEach((other) => dark.append(link(plate, other), " "));
    if (members.length > 25) dark.append(`and ${whole(members.length - 25)} more`);
    rows.append(make("div", {}, make("dt", {}, "black hole"), dark));
    card.replaceChildren(title, line, rows, make("dl", { class: "az-tel-tiles" }, ...scales.map((gauge) => tile(gauge, token))), make("div", { class: "az-tel-companies" }, ...Object.keys(plate.spaces).map((space) => company(plate, space, token))));
    return title;
  }

  /* All together */
  async function open() {
    const missing = frame.querySelector(".az-telescope-missing");
    if (typeof DecompressionStream === "undefined" || !globalThis.azimuthPlate) {
      missing.textContent = globalThis.azimuthPlate ? "This browser cannot unpack the telescope's plate (it has no DecompressionStream); the table below shows some tokens." : "The telescope's plate did not load; the table below shows some tokens.";
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
    frame.replaceChildren(finder(plate, go, say), map.stage, make("p", { class: "az-tel-legend" }, ...Object.keys(plate.spaces).flatMap((space) => [make("span", { class: `az-tel-key az-tel-${space}` }, `nearest in ${space} space`), " "])), card, status);
    show(asked() >= 0 && asked() < plate.count ? asked() : first);
    frame.dataset.open = "1";
    frame.azimuthPlate = plate; /* for whoever wants to look at it from the console */
    frame.azimuthMap = map;
  }
  open();
})();
