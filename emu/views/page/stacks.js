// The stacks side by side: what is used, the guard, the red zone, SP before and after the step.

const TOP = 46, BOTTOM = 30, NARROW = 58, WIDEST = 230, ARROW = 12;

class Stacks {
  constructor(run, touched, element) {
    Object.assign(this, { run, touched, element });
    this.order = run.stacks.map((_, n) => n).sort((a, b) => !touched[a] - !touched[b] || a - b);
    this.scales = run.stacks.map((stack, n) => new Scale(stack, touched[n], run.header.red, run.word, 0.085));
    new ResizeObserver(() => this.row !== undefined && this.show(this.row)).observe(element);
  }

  show(row) {
    this.row = row;
    const { run } = this, box = this.element.getBoundingClientRect();
    const now = run.account(row), then = run.account(row, true);
    const height = Math.max(220, box.height - 6), visited = this.order.filter((n) => this.touched[n]);
    const idle = this.order.filter((n) => !this.touched[n]).slice(0, visited.length > 4 ? 0 : 4);
    const wide = Math.min(WIDEST, Math.max(104, (box.width - 8 - idle.length * NARROW) / Math.max(1, visited.length)));
    const svg = draw("svg", { height, role: "img", "aria-label": this.words(now, then) }, this.hatching());
    const place = new Map();
    let x = 4;
    for (const n of [...visited, ...idle]) {
      const width = this.touched[n] ? wide : NARROW;
      place.set(n, { x, width: width - 10, y: (at) => TOP + this.scales[n].at(at) * (height - TOP - BOTTOM) });
      svg.append(this.column(n, place.get(n), row, now));
      x += width;
    }
    svg.setAttribute("width", x + 4);
    svg.append(this.movement(place, now, then));
    const left = this.element.scrollLeft;
    this.element.replaceChildren(svg);
    this.element.scrollLeft = left;
    this.keepInView(place.get(then.number) ?? place.get(now.number));
  }

  words(now, then) {
    const at = (a) => (a.stack ? `${a.stack.name}, ${a.depth} of ${a.size} bytes used` : "no stack");
    return `SP is in ${at(now)}` + (then.sp === now.sp ? "" : `; the step moves it to ${at(then)}`);
  }

  hatching() {
    return draw("defs", {},
      draw("pattern", { id: "hatch", width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
        draw("line", { x1: 0, y1: 0, x2: 0, y2: 6, class: "hatch" })),
      draw("marker", { id: "tip", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 5, markerHeight: 5, orient: "auto" },
        draw("path", { d: "M0 0 8 4 0 8z", class: "tip" })));
  }

  column(n, { x, width, y }, row, now) {
    const stack = this.run.stacks[n], idle = !this.touched[n], current = now.number === n;
    const group = draw("g", { class: `column hue${n % HUES}${idle ? " idle" : ""}${current ? " current" : ""}` });
    const [top, bottom] = [y(stack.hi), y(stack.lo)];
    const text = (at, size, words, extra = {}) => draw("text", { x: x + width / 2, y: at, class: size, ...extra }, words);
    const name = stack.title.replace(/ stack$/, "");
    group.append(draw("title", {}, `${stack.title}: ${hex(stack.lo)}…${hex(stack.hi)}`));
    group.append(text(16, "name", idle && name.length > 8 ? name.slice(0, 7) + "…" : name));
    group.append(text(31, "small", idle ? "unused" : current ? `${now.depth} of ${now.size}` : plural(stack.hi - stack.lo, "byte")));
    group.append(text(top - 4, "edge", idle ? "" : hex(stack.hi)), text(bottom + 12, "edge", idle ? "" : hex(stack.lo)));
    group.append(draw("rect", { x, y: top, width, height: bottom - top, class: "memory" }));
    for (const zone of this.scales[n].zones) group.append(...this.zone(zone, { x, width, y }, idle));
    if (current) group.append(draw("rect", { x, y: top, width, height: Math.max(0, y(now.sp) - top), class: "used" }));
    if (!idle) group.append(...this.contents(n, { x, width, y }, row));
    if (stack.guard) group.append(...this.guard(stack, { x, width, y }, row, idle, bottom));
    group.append(draw("rect", { x, y: top, width, height: bottom - top, class: "frame" }));
    return group;
  }

  zone(zone, { x, width, y }, idle) {
    const [top, bottom] = [y(zone.hi), y(zone.lo)];
    if (zone.kind === "near") return [];
    if (zone.kind === "red") {
      const rect = draw("rect", { x, y: top, width, height: bottom - top, class: "red" });
      return idle ? [rect] : [rect, draw("text", { x: x + width / 2, y: (top + bottom) / 2 + 4, class: "zone" }, "red zone")];
    }
    const middle = (top + bottom) / 2, wave = Array.from({ length: Math.floor(width / 6) + 1 }, (_, i) => `${x + i * 6},${middle + (i % 2 ? 3 : -3)}`);
    const words = draw("text", { x: x + width / 2, y: middle + 4, class: "zone" }, plural(zone.hi - zone.lo, "byte"));
    return [draw("polyline", { points: wave.join(" "), class: "break" }), ...(idle || width < 120 || bottom - top < 15 ? [] : [words])];
  }

  // Words of the part to scale, where there is room: what is known to stand there.
  contents(n, { x, width, y }, row) {
    const { run } = this, found = [];
    for (const zone of this.scales[n].zones.filter((z) => z.kind === "near")) {
      const high = ((y(zone.lo) - y(zone.hi)) * run.word) / (zone.hi - zone.lo);
      if (high < 5) continue;
      for (let at = Math.ceil(zone.lo / run.word) * run.word; at < zone.hi; at += run.word) {
        found.push(draw("line", { x1: x, x2: x + width, y1: y(at), y2: y(at), class: "cell" }));
        const value = high < 10 ? null : run.memory.at(at, row);
        if (value === null) continue;
        const room = Math.floor((width - 34) / 6.3), words = run.names.pointee(value) || hex(value);
        found.push(draw("text", { x: x + width - 5, y: y(at) - high / 2 + 3.5, class: "word" }, words.length > room ? words.slice(0, room - 1) + "…" : words));
      }
    }
    return found;
  }

  // A line at the guard word, or at the normal guard with the special value's name.
  guard(stack, { x, width, y }, row, idle, bottom) {
    const word = this.run.memory.at(stack.g + this.run.header.guardOffset, row);
    const at = word === null ? NaN : address(word), inside = at >= stack.lo && at <= stack.hi;
    const special = word === null ? "" : this.run.names.special.get(word) ?? (inside ? "" : hex(word));
    const level = y(inside ? at : stack.guard);
    const line = draw("line", { x1: x - 3, x2: x + width + 3, y1: level, y2: level, class: special ? "guard off" : "guard" });
    const label = draw("text", { x: x + 3, y: level - 3, class: "guard-name" }, idle ? "" : special ? "(guard)" : "guard");
    if (!special) return [line, label];
    return [line, label, draw("text", { x: x + width / 2, y: bottom + 26, class: "special" }, idle ? special.slice(0, 8) : `guard=${special}`)];
  }

  // SP's arrow, where the step moves it, and the way between.
  movement(place, now, then) {
    const group = draw("g", { class: "movement" });
    const spot = (account) => {
      const column = place.get(account.number);
      return column && { x: column.x, y: column.y(account.sp), right: column.x + column.width, column };
    };
    const [from, to] = [spot(now), spot(then)];
    const moves = from && to && then.sp !== now.sp;
    if (moves && from.column === to.column && Math.abs(from.y - to.y) > 3)
      group.append(draw("path", { d: `M${from.right + 2} ${from.y}C${from.right + 9} ${from.y} ${from.right + 9} ${to.y} ${from.right + 1} ${to.y}`, class: "way" }));
    if (moves && from.column !== to.column) {
      const [start, end] = from.x < to.x ? [from.right, to.x - 2] : [from.x, to.right + 2];
      const middle = (start + end) / 2;
      group.append(draw("path", { d: `M${start} ${from.y}C${middle} ${from.y} ${middle} ${to.y} ${end} ${to.y}`, class: "way" }));
    }
    if (moves) group.append(draw("line", { x1: to.x, x2: to.right, y1: to.y, y2: to.y, class: "sp after" }));
    if (!from) return group;
    group.append(draw("line", { x1: from.x, x2: from.right, y1: from.y, y2: from.y, class: "sp" }));
    group.append(this.arrow(from));
    return group;
  }

  // SP's mark; it moves over from where it was last drawn.
  arrow({ x, y }) {
    const arrow = draw("g", {},
      draw("path", { d: `M${x + ARROW} ${y}l-${ARROW} -6v12z`, class: "arrow" }),
      draw("text", { x: x + ARROW + 3, y: y - 4, class: "sp-name" }, "SP"));
    const last = this.last ?? { x, y };
    this.last = { x, y };
    if ((last.x !== x || last.y !== y) && !matchMedia("(prefers-reduced-motion: reduce)").matches)
      arrow.animate([{ transform: `translate(${last.x - x}px, ${last.y - y}px)` }, { transform: "none" }], { duration: 140, easing: "ease-out" });
    return arrow;
  }

  keepInView(column) {
    if (!column) return;
    const { element } = this;
    if (column.x < element.scrollLeft) element.scrollLeft = column.x - 8;
    else if (column.x + column.width > element.scrollLeft + element.clientWidth) element.scrollLeft = column.x + column.width - element.clientWidth + 8;
  }
}
