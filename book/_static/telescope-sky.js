/* The telescope's map of the sky: drawn, zoomed, and pointed at by mouse, finger and keyboard. */
(() => {
  "use strict";
  const { make, minus, tokenBox } = globalThis.azimuthTelescope;

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
    const stars = make("canvas", { "aria-hidden": "true" });
    const over = make("canvas", {
      tabindex: "0", role: "application", class: "az-tel-over",
      "aria-label": "Map of the sky, all tokens. Arrow keys move the crosshair, with Shift by a little; Enter points the telescope at the star "
        + "nearest to it; plus and minus zoom, 0 shows all.",
    });
    const name = make("div", { class: "az-tel-name", hidden: "", "aria-hidden": "true" });
    const colour = make("select", { "aria-label": "Colour of the stars" }, ...scales.map((scale, i) => make("option", { value: i }, scale.name)));
    const buttons = [["\u2212", "Zoom out", 1 / 1.6], ["+", "Zoom in", 1.6], ["All", "Show the whole sky", 0]].map(([sign, label, factor]) => {
      const button = make("button", { type: "button", "aria-label": label }, sign);
      button.addEventListener("click", () => factor ? zoom(factor) : all());
      return button;
    });
    const controls = make("div", { class: "az-tel-tools" }, make("label", {}, "colour ", colour), ...buttons);
    const stage = make("div", { class: "az-tel-sky" }, stars, over, name, controls);
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
      const line = (points) => {
        context.beginPath();
        points.forEach(([a, b]) => context.lineTo(...toScreen(...mollweide(a, b))));
        context.stroke();
      };
      const steps = [...Array(61).keys()].map((i) => -90 + 3 * i);
      for (let a = -180; a <= 180; a += 60) line(steps.map((b) => [a, b]));
      for (const b of [-60, -30, 0, 30, 60]) line([[-180, b], [180, b]]);
      context.fillStyle = "#8493a6"; context.font = "11px sans-serif"; context.textAlign = "center";
      if (view.zoom < 1.5 && width > 500) {
        const write = (a, b, right, down) => {
          const [left, top] = toScreen(...mollweide(a, b));
          context.fillText(minus(`${b || a}\u00b0`), left + right, top + down);
        };
        for (const a of [-120, -60, 0, 60, 120]) write(a, 0, 0, -4);
        context.textAlign = "right";
        for (const b of [-60, -30, 30, 60]) write(-180, b, -6, 4);
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
        for (const i of bucket) {
          const left = originX + px[i] * each, top = originY - py[i] * each;
          if (size < 2.4) { context.fillRect(left, top, size, size); continue; } /* too small to be seen as a square, and many */
          context.beginPath();
          context.arc(left + size / 2, top + size / 2, size / 2, 0, 7);
          context.fill();
        }
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
            context.globalAlpha = 0.42;
            context.beginPath(); context.moveTo(...here); context.lineTo(...there); context.stroke();
            context.globalAlpha = 0.95;
            context.beginPath(); context.arc(...there, which ? 3.6 : 2.4, 0, 7);
            if (which) context.stroke(); else context.fill();
          }
        });
        context.globalAlpha = 1; context.strokeStyle = "#fff"; context.lineWidth = 1.6;
        context.beginPath(); context.arc(...here, 8.5, 0, 7); context.stroke();
        for (const [a, b] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
          context.beginPath();
          context.moveTo(here[0] + 8.5 * a, here[1] + 8.5 * b); context.lineTo(here[0] + 14 * a, here[1] + 14 * b);
          context.stroke();
        }
      }
      if (cross && document.activeElement === over) {
        const [left, top] = cross;
        context.strokeStyle = "#fff"; context.lineWidth = 1; context.setLineDash([3, 3]);
        context.beginPath();
        context.moveTo(left - 22, top); context.lineTo(left + 22, top);
        context.moveTo(left, top - 22); context.lineTo(left, top + 22);
        context.stroke();
        context.setLineDash([]);
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
    over.addEventListener("wheel", (event) => {
      if (!event.ctrlKey) return; /* the wheel alone moves the page, as everywhere */
      event.preventDefault();
      zoom(Math.exp(-event.deltaY / 180), ...spot(event));
    }, { passive: false });
    let pause = 0;
    over.addEventListener("keydown", (event) => {
      const step = event.shiftKey ? 3 : 18, moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
      cross ||= chosen >= 0 && Number.isFinite(px[chosen]) ? toScreen(px[chosen], py[chosen]) : [width / 2, height / 2];
      const within = (value, most) => Math.min(most, Math.max(0, value)), way = moves[event.key];
      if (way) cross = [within(cross[0] + step * way[0], width), within(cross[1] + step * way[1], height)];
      else if (event.key === "+" || event.key === "=") zoom(1.6, ...cross);
      else if (event.key === "-") zoom(1 / 1.6, ...cross);
      else if (event.key === "0") all();
      else if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      const star = nearest(...cross, Infinity);
      if (star >= 0 && (event.key === "Enter" || event.key === " ")) go(star);
      tell(star, ...cross);
      clearTimeout(pause);
      if (way && star >= 0) pause = setTimeout(() => say(`${plate.texts[star]}, token ${star}`), 350);
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
      const inView = left > 20 && left < width - 20 && top > 20 && top < height - 20;
      if (view.zoom === 1 || inView || !Number.isFinite(px[token])) return paintOver();
      view.x = px[token]; view.y = py[token];
      bound(); redraw();
    };
    return { stage, point, where: (token) => toScreen(px[token], py[token]) };
  }

  globalThis.azimuthTelescope = { ...globalThis.azimuthTelescope, skyMap };
})();
