// Elements by name, attributes and children. Text goes in as text nodes only: nothing of a trace is read as HTML.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== false && child !== ""));
  return element;
}

const make = (name, attributes = {}, ...children) => fill(document.createElement(name), attributes, children);
const draw = (name, attributes = {}, ...children) => fill(document.createElementNS(SVG, name), attributes, children);
const byId = (id) => document.getElementById(id);
const signed = (value) => (value > 0 ? "+" : "") + value;
const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;

// A value with what it points to; the kind of place is told by a mark, the name, and the colour.
function pointed(run, value) {
  const name = run.names.pointee(value);
  return make("span", { class: "to " + kindClass(run.names.kind(value)) }, name);
}

const HUES = 6;
const kindClass = (kind) => (kind.startsWith("stack ") ? "stack hue" + (Number(kind.slice(6)) % HUES) : kind || "none");
