/* The telescope's small parts: elements, numbers, and tokens, whose texts are foreign and only ever become text nodes. */
(() => {
  "use strict";
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
    if (size < 1e5 && size >= 1e-3) return minus(value.toPrecision(digits));
    const [mantissa, exponent] = value.toExponential(digits - 1).split("e");
    const raised = [...exponent].map((sign) => "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079"[sign] ?? (sign === "-" ? "\u207b" : ""));
    return `${minus(mantissa)} \u00d7 10${raised.join("")}`;
  };

  const tokenBox = (text) => {
    const box = make("code", { class: "az-token", translate: "no" });
    const inside = make("bdi");
    inside.textContent = text;
    box.append(inside);
    return box;
  };
  const link = (plate, token) => make("a", { href: `#token-${token}`, class: "az-tel-link" }, tokenBox(plate.texts[token]));

  globalThis.azimuthTelescope = { ...globalThis.azimuthTelescope, make, drawn, minus, whole, number, tokenBox, link };
})();
