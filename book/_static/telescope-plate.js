/* The telescope's plate: unpacked (compute/telescope.py says how it is packed), measured and searched; nothing of the page. */
(() => {
  "use strict";
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
      list.push({
        name: `density, ${space} space`, unit: `per ${near.unit.replace(/s$/, "")}`, of: near.density, more: "denser than", log: true, k: near.k,
      });
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
        while (from < to) {
          const middle = (from + to) >> 1;
          if (finite[middle] < value) from = middle + 1; else to = middle;
        }
        return from / gauge.of.length;
      };
    }
    return list.filter((one) => one.of);
  }

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
    const named = id && Number(id[1]) < plate.count ? [Number(id[1])] : [];
    return { found: found.slice(0, most), total: new Set([...named, ...ranks.flat()]).size };
  }

  globalThis.azimuthTelescope = { ...globalThis.azimuthTelescope, expose, gauges, search };
})();
