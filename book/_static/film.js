// The player of a film of a moving cloud (compute/film.py): play, pause, and a slider for every step.
// Nothing moves unasked; who wants less motion gets still frames, one a second.
"use strict";
(() => {
  const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const NUMBER = new Uint8Array(128);
  [...LETTERS].forEach((letter, i) => { NUMBER[letter.charCodeAt(0)] = i; });
  const STEPS_A_SECOND = 12, LEAP = 10, MARGIN = 0.06;

  function decode(film) {
    const { points, frames, first, moves, reach, unit } = film;
    const size = 2 * points, seen = new Float32Array(frames * size);
    const number = (text, i) => NUMBER[text.charCodeAt(i)];
    for (let i = 0; i < size; i++) {
      seen[i] = ((number(first, 2 * i) * 64 + number(first, 2 * i + 1)) / 4095 - 0.5) * 2 * reach;
    }
    for (let i = size; i < frames * size; i++) seen[i] = seen[i - size] + (number(moves, i - size) - 31) * unit;
    return seen;
  }

  function bounds(film, seen) {
    const box = [[Infinity, -Infinity], [Infinity, -Infinity]];
    const widen = (axis, at) => { box[axis] = [Math.min(box[axis][0], at), Math.max(box[axis][1], at)]; };
    for (let frame = 0; frame < film.frames; frame++) {
      for (let axis = 0; axis < 2; axis++) {
        const from = (2 * frame + axis) * film.points;
        for (let i = 0; i < film.points; i++) widen(axis, film.path[frame][axis] + seen[from + i]);
      }
    }
    film.origin.forEach((at, axis) => widen(axis, at));
    return box.map(([low, high]) => [low - MARGIN * (high - low), high + MARGIN * (high - low)]);
  }

  function open(place) {
    const film = JSON.parse(place.querySelector("script").textContent), seen = decode(film), box = bounds(film, seen);
    const canvas = place.querySelector("canvas"), pen = canvas.getContext("2d");
    const button = place.querySelector("button"), slider = place.querySelector("input"), told = place.querySelector("output");
    const calm = matchMedia("(prefers-reduced-motion: reduce)");
    const [width, height] = box.map(([low, high]) => high - low);
    let scale = 1, playing = 0, begun = 0, from = 0;
    const at = (x, y) => [(x - box[0][0]) * scale, (box[1][1] - y) * scale];

    function draw() {
      const step = Number(slider.value), { points, path, colours } = film;
      pen.clearRect(0, 0, canvas.width, canvas.height);
      const ratio = canvas.width / canvas.clientWidth || 1;
      pen.fillStyle = colours[step];
      const x = 2 * step * points, y = x + points, dot = 1.6 * ratio;
      for (let i = 0; i < points; i++) {
        const [left, top] = at(path[step][0] + seen[x + i], path[step][1] + seen[y + i]);
        pen.fillRect(left - dot / 2, top - dot / 2, dot, dot);
      }
      pen.strokeStyle = "deepskyblue"; pen.lineWidth = 1.2 * ratio;
      pen.beginPath();
      pen.arc(...at(...film.origin), 6 * ratio, 0, 7); pen.stroke();
      pen.beginPath();
      path.slice(0, step + 1).forEach(([x, y]) => pen.lineTo(...at(x, y))); pen.stroke();
      told.textContent = film.words[step];
      slider.setAttribute("aria-valuetext", film.words[step]);
    }

    function fit() {
      canvas.width = Math.round(canvas.clientWidth * Math.min(2, devicePixelRatio || 1));
      scale = canvas.width / width;
      canvas.height = Math.round(height * scale);
      draw();
    }

    function stop() {
      cancelAnimationFrame(playing); playing = 0;
      button.textContent = "Play";
    }

    function turn(now) {
      begun = begun || now;
      const passed = (now - begun) / 1000;
      const step = from + (calm.matches ? LEAP * Math.floor(passed) : Math.floor(passed * STEPS_A_SECOND));
      if (step !== Number(slider.value)) { slider.value = Math.min(step, film.frames - 1); draw(); }
      if (step >= film.frames - 1) stop(); else playing = requestAnimationFrame(turn);
    }

    button.addEventListener("click", () => {
      if (playing) return stop();
      from = Number(slider.value) >= film.frames - 1 ? 0 : Number(slider.value);
      begun = 0; button.textContent = "Pause";
      playing = requestAnimationFrame(turn);
    });
    slider.addEventListener("input", () => { stop(); draw(); });
    slider.max = film.frames - 1;
    place.hidden = false;
    new ResizeObserver(fit).observe(canvas.parentElement);
    fit();
  }

  document.querySelectorAll(".az-film").forEach(open);
})();
