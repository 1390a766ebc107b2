// Time series as SVG: an area or line per layer, marks in lanes below, a cursor that follows pointer and keys.

import * as format from "./format.js";

const NS = "http://www.w3.org/2000/svg";
const LEFT = 52;
const RIGHT = 10;
const TOP = 14;
const AXIS = 22;
const LANE = 16;
const STEPS = [1, 5, 15, 30, 60, 300, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800];

export function svg(name, attributes = {}, ...children) {
  const element = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

const SHAPES = {
  anomaly: "M0 -5.5L5.5 0L0 5.5L-5.5 0Z",
  up: "M0 -5.5L5.5 4.5L-5.5 4.5Z",
  down: "M0 5.5L5.5 -4.5L-5.5 -4.5Z",
  rollback: "M-6 0L0 -5.5L0 -2L6 -2L6 2L0 2L0 5.5Z",
  release: "M-4 6L-4 -6L6 -2.5L-2 1L-2 6Z",
};

export function shape(kind, x = 0, y = 0) {
  return svg("path", { d: SHAPES[kind], class: `mark-${kind}`, transform: `translate(${x} ${y})` });
}

// A sample of a layer's line or a mark, for legends.
export function swatch(kind) {
  const picture = svg("svg", { width: 20, height: 14, viewBox: "0 0 20 14", "aria-hidden": "true" });
  if (SHAPES[kind]) picture.append(shape(kind, 10, 7));
  else if (kind === "band") picture.append(svg("rect", { x: 1, y: 2, width: 18, height: 10, class: "band" }));
  else if (kind === "ready") {
    picture.append(svg("rect", { x: 1, y: 4, width: 18, height: 9, class: "ready-area" }));
    picture.append(svg("path", { d: "M1 4H19", class: "ready" }));
  } else picture.append(svg("path", { d: "M1 7H19", class: kind }));
  return picture;
}

export class Chart {
  // `onCursor` is called with a time, or null when the cursor leaves, and whether a key moved it.
  constructor(host, { label, lanes = 0, integers = false, onCursor }) {
    this.lanes = lanes;
    this.integers = integers;
    this.root = svg("svg", { role: "img", tabindex: 0, "aria-label": label });
    this.label = label;
    this.domain = null;
    this.cursorLine = null;
    host.append(this.root);
    new ResizeObserver(() => this.measure(host)).observe(host);
    this.measure(host);
    this.root.addEventListener("pointermove", (event) => onCursor(this.timeAt(event), false));
    this.root.addEventListener("pointerdown", (event) => onCursor(this.timeAt(event), false));
    this.root.addEventListener("pointerleave", () => onCursor(null, false));
    this.root.addEventListener("blur", () => onCursor(null, false));
    this.root.addEventListener("keydown", (event) => this.key(event, onCursor));
  }

  measure(host) {
    this.width = Math.max(220, host.clientWidth);
    this.height = Math.max(90, host.clientHeight);
    this.root.setAttribute("viewBox", `0 0 ${this.width} ${this.height}`);
    this.onResize?.();
  }

  get bottom() {
    return this.height - AXIS - this.lanes * LANE;
  }

  x(ts) {
    const [from, to] = this.domain;
    return LEFT + ((ts - from) / (to - from)) * (this.width - LEFT - RIGHT);
  }

  y(value) {
    return this.bottom - (value / this.top) * (this.bottom - TOP);
  }

  timeAt(event) {
    if (!this.domain) return null;
    const share = (event.clientX - this.root.getBoundingClientRect().left - LEFT) / (this.width - LEFT - RIGHT);
    const [from, to] = this.domain;
    return from + Math.min(1, Math.max(0, share)) * (to - from);
  }

  key(event, onCursor) {
    if (!this.domain) return;
    const [from, to] = this.domain;
    const step = (to - from) / (event.shiftKey ? 10 : 100);
    const here = this.cursorTime ?? to;
    const moves = { ArrowLeft: here - step, ArrowRight: here + step, Home: from, End: to };
    if (event.key === "Escape") onCursor(null, true);
    else if (event.key in moves) onCursor(Math.min(to, Math.max(from, moves[event.key])), true);
    else return;
    event.preventDefault();
  }

  // `layers`: {kind: line|step|area, class, unscaled, points: [[ts, value(, upper)]]}; `marks`: {kind, ts, lane, text};
  // `lines`: {kind, ts, text} across the plot; `now`: where the past ends.
  draw({ domain, layers, marks = [], lines = [], now = null, summary = "" }) {
    this.domain = domain;
    this.root.replaceChildren();
    this.root.setAttribute("aria-label", `${this.label}. ${summary}`);
    if (!domain) return;
    const inside = layers.map((layer) => ({ ...layer, points: this.visible(layer.points) }));
    this.top = this.scale(inside);
    this.axes();
    for (const layer of inside) this.layer(layer);
    if (now !== null && now < domain[1]) {
      this.root.append(svg("path", { d: `M${this.x(now)} ${TOP}V${this.bottom}`, class: "now" }));
    }
    this.eventLines(lines);
    this.marks(marks);
    this.cursorLine = svg("path", { class: "cursor", visibility: "hidden" });
    this.root.append(this.cursorLine);
    this.cursor(this.cursorTime ?? null);
  }

  cursor(ts) {
    this.cursorTime = ts;
    if (!this.cursorLine) return;
    const shown = ts !== null && this.domain && ts >= this.domain[0] && ts <= this.domain[1];
    this.cursorLine.setAttribute("visibility", shown ? "visible" : "hidden");
    if (shown) this.cursorLine.setAttribute("d", `M${this.x(ts)} ${TOP}V${this.height - AXIS}`);
  }

  // Points within the domain and one beyond each end, so that lines reach the edges.
  visible(points) {
    const [from, to] = this.domain;
    let first = points.findIndex((point) => point[0] >= from);
    if (first < 0) first = points.length;
    let last = points.length;
    while (last > first && points[last - 1][0] > to) last -= 1;
    return points.slice(Math.max(0, first - 1), last + 1);
  }

  scale(layers) {
    let most = 0;
    for (const layer of layers) {
      if (layer.unscaled) continue;
      for (const point of layer.points) for (const value of point.slice(1)) if (value > most) most = value;
    }
    if (most <= 0) return 1;
    const raw = (most * 1.08) / 4;
    const power = 10 ** Math.floor(Math.log10(raw));
    let step = [1, 2, 2.5, 5, 10].find((m) => m * power >= raw) * power;
    if (this.integers) step = Math.max(1, Math.ceil(step));
    this.step = step;
    return step * Math.ceil((most * 1.04) / step);
  }

  axes() {
    const step = this.top === 1 && !this.step ? 1 : this.step;
    for (let value = 0; value <= this.top * 1.0001; value += step) {
      const y = this.y(value);
      this.root.append(svg("path", { d: `M${LEFT} ${y}H${this.width - RIGHT}`, class: "grid" }));
      const label = svg("text", { x: LEFT - 7, y: y + 4, "text-anchor": "end", class: "axis" });
      label.textContent = format.number(value);
      this.root.append(label);
    }
    const [from, to] = this.domain;
    const room = Math.max(2, Math.floor((this.width - LEFT - RIGHT) / 78));
    const wanted = STEPS.find((s) => (to - from) / (s * 1000) <= room) ?? STEPS.at(-1);
    for (let ts = Math.ceil(from / (wanted * 1000)) * wanted * 1000; ts <= to; ts += wanted * 1000) {
      const x = this.x(ts);
      this.root.append(svg("path", { d: `M${x} ${TOP}V${this.bottom}`, class: "grid" }));
      const label = svg("text", { x, y: this.height - 6, "text-anchor": "middle", class: "axis" });
      label.textContent = format.tick(ts, wanted * 1000);
      this.root.append(label);
    }
  }

  layer({ kind, class: name, points }) {
    if (!points.length) return;
    const clip = this.clip();
    const add = (d, cls) => this.root.append(svg("path", { d, class: cls, "clip-path": clip }));
    if (kind === "area") {
      const kept = this.thin(points, 2);
      const up = kept.map((p) => `${this.px(p[0])} ${this.py(p[2])}`);
      const back = kept.map((p) => `${this.px(p[0])} ${this.py(p[1])}`).reverse();
      add(`M${[...up, ...back].join("L")}Z`, name);
      return;
    }
    const kept = this.thin(points, 1);
    let d = `M${this.px(kept[0][0])} ${this.py(kept[0][1])}`;
    for (const point of kept.slice(1)) {
      d += kind === "step" ? `H${this.px(point[0])}V${this.py(point[1])}` : `L${this.px(point[0])} ${this.py(point[1])}`;
    }
    if (name === "ready") {
      add(`${d}V${this.py(0)}H${this.px(kept[0][0])}Z`, "ready-area");
    }
    add(d, name);
  }

  px(ts) {
    return this.x(ts).toFixed(1);
  }

  py(value) {
    return this.y(value).toFixed(1);
  }

  // At most a lowest and a highest point per pixel column: what a denser line would show, at a bounded cost.
  thin(points, column) {
    if (points.length <= 2 * this.width) return points;
    const kept = [];
    let low = null;
    let high = null;
    let at = null;
    const flush = () => {
      if (low === high) kept.push(low);
      else kept.push(...(low[0] < high[0] ? [low, high] : [high, low]));
    };
    for (const point of points) {
      const pixel = Math.floor(this.x(point[0]));
      if (pixel !== at) {
        if (at !== null) flush();
        [at, low, high] = [pixel, point, point];
      }
      if (point[column] < low[column]) low = point;
      if (point[column] > high[column]) high = point;
    }
    if (at !== null) flush();
    return kept;
  }

  clip() {
    const id = `clip-${this.lanes}-${this.integers}`;
    if (!this.root.querySelector("clipPath")) {
      const box = { x: LEFT, y: TOP - 4, width: this.width - LEFT - RIGHT, height: this.bottom - TOP + 5 };
      this.root.append(svg("clipPath", { id }, svg("rect", box)));
    }
    return `url(#${id})`;
  }

  eventLines(lines) {
    let free = [-Infinity, -Infinity];
    for (const { kind, ts, text } of lines) {
      if (ts < this.domain[0] || ts > this.domain[1]) continue;
      const x = this.x(ts);
      this.root.append(svg("path", { d: `M${x} ${TOP}V${this.bottom}`, class: `event-line ${kind}` }));
      const width = text.length * 7 + 12;
      const row = free.findIndex((end) => end < x);
      if (row < 0) continue;
      free[row] = x + width;
      const flip = x + width > this.width - RIGHT;
      const label = svg("text", {
        x: flip ? x - 5 : x + 5,
        y: TOP + 10 + row * 16,
        "text-anchor": flip ? "end" : "start",
        class: `event-label ${kind}`,
      });
      label.textContent = text;
      this.root.append(label);
    }
  }

  marks(marks) {
    const taken = new Set();
    for (const { kind, ts, lane } of marks) {
      if (ts < this.domain[0] || ts > this.domain[1]) continue;
      const x = Math.round(this.x(ts));
      const place = `${lane}:${kind}:${x >> 2}`; // marks on top of each other show nothing more
      if (taken.has(place)) continue;
      taken.add(place);
      this.root.append(shape(kind, x, this.bottom + 10 + lane * LANE));
    }
  }
}
