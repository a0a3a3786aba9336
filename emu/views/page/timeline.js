// SP over steps, one band per stack that SP was in, drawn by Bokeh; above them the events.

const FEWEST_SHOWN = 8; // steps, when zoomed in as far as it goes
const LOWEST_BAND = 15, REST = 46; // pixels: of a band, when there are many; of the events and the axis

class Timeline {
  constructor(run, scales, touched, element, go) {
    Object.assign(this, { run, scales, element, go, row: 0 });
    this.bands = run.stacks.map((_, n) => n).filter((n) => touched[n]);
    this.place = new Map(this.bands.map((n, k) => [n, this.bands.length - k])); // the top of each band
    this.lane = this.bands.length > 4 ? 1.8 : 0.9; // height of the events' lane, in bands
    this.base = run.count && run.step(run.count - 1) - run.step(0) === run.count - 1 ? run.step(0) : 0;
    this.range = new Bokeh.Range1d({ start: this.base, end: this.base + run.count, bounds: [this.base, this.base + run.count], min_interval: Math.min(FEWEST_SHOWN, run.count) });
    this.line = new Bokeh.ColumnDataSource({ data: { x: [], y: [] } });
    this.moves = new Bokeh.ColumnDataSource({ data: { x: [], y: [] } });
    this.marks = new Bokeh.ColumnDataSource({ data: { x: [], y: [], marker: [], color: [] } });
  }

  async start() {
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", () => this.build());
    const again = () => { this.wanted ??= requestAnimationFrame(() => { this.wanted = undefined; this.sample(); }); };
    for (const side of ["start", "end"]) this.range.properties[side].change.connect(again);
    new ResizeObserver(again).observe(this.element);
    await this.build();
  }

  colour(name) {
    this.probe ??= document.body.appendChild(make("i", { hidden: "" }));
    this.probe.style.color = `var(--${name})`;
    return getComputedStyle(this.probe).color;
  }

  async build() {
    const count = this.bands.length, [text, rule, accent] = ["text", "rule", "accent"].map((name) => this.colour(name));
    const figure = Bokeh.Plotting.figure({
      sizing_mode: "stretch_both", x_range: this.range, y_range: new Bokeh.Range1d({ start: 0, end: count + this.lane }),
      tools: matchMedia("(min-width: 1001px)").matches ? "xpan,xwheel_zoom" : "xpan", toolbar_location: null, active_scroll: "auto",
      background_fill_color: null, border_fill_color: null, outline_line_color: rule, min_border: 4,
    });
    figure.xgrid.grid_line_color = null;
    figure.ygrid.grid_line_color = null;
    this.axes(figure, text, rule);
    this.background(figure, rule);
    figure.line({ field: "x" }, { field: "y" }, { source: this.moves, line_color: text, line_dash: [2, 3], line_alpha: 0.5 });
    figure.line({ field: "x" }, { field: "y" }, { source: this.line, line_color: text, line_width: 1.5 });
    figure.scatter({ field: "x" }, { field: "y" }, { source: this.marks, marker: { field: "marker" }, size: 8, fill_color: { field: "color" }, line_color: { field: "color" } });
    this.cursor = new Bokeh.Span({ dimension: "height", location: this.x(this.row), line_color: accent, line_width: 2, level: "overlay" });
    figure.add_layout(this.cursor);
    figure.on_event("tap", (event) => this.go(Math.min(this.run.count - 1, Math.max(0, Math.floor(event.x - this.base)))));
    const holder = make("div", { class: "holder" });
    holder.style.height = `max(100%, ${count * LOWEST_BAND + this.lane * LOWEST_BAND + REST}px)`;
    this.element.replaceChildren(holder);
    this.element.setAttribute("aria-label", `SP over ${plural(this.run.count, "step")} in ${plural(count, "stack")}: ` + this.bands.map((n) => this.run.stacks[n].name).join(", "));
    await Bokeh.Plotting.show(figure, holder);
    this.sample();
  }

  axes(figure, text, rule) {
    const [x, y] = [figure.xaxis, figure.yaxis], names = new Map(this.bands.map((n) => [this.place.get(n) - 0.5, this.run.stacks[n].name.replace(/ stack$/, "")]));
    names.set(this.bands.length + this.lane / 2, "events");
    y.ticker = new Bokeh.FixedTicker({ ticks: [...names.keys()] });
    y.major_label_overrides = names;
    for (const axis of [x, y]) {
      axis.major_label_text_color = text;
      axis.major_label_text_font_size = "12px";
      [axis.axis_line_color, axis.major_tick_line_color, axis.minor_tick_line_color] = [rule, rule, null];
    }
    x.formatter = new Bokeh.BasicTickFormatter({ use_scientific: false });
    x.ticker = new Bokeh.BasicTicker({ min_interval: 1 });
  }

  // Bands by turns, the guard of each as a line, its red zone below.
  background(figure, rule) {
    const { run } = this, ends = [this.base, this.base + run.count], count = this.bands.length;
    this.bands.forEach((n, k) => {
      const stack = run.stacks[n], top = this.place.get(n);
      const box = (from, to, fill_color, fill_alpha) => figure.add_layout(new Bokeh.BoxAnnotation({ top: from, bottom: to, fill_color, fill_alpha, line_color: null, level: "underlay" }));
      box(top, top - 1, this.colour("hue" + (n % HUES)), k % 2 ? 0.1 : 0.16);
      figure.line(ends, [top, top], { line_color: rule });
      if (!stack.guard || count > 6) return; // no room for it
      const guard = this.y(n, stack.guard);
      box(guard, this.y(n, Math.max(stack.lo, stack.guard - run.header.red)), this.colour("red"), 0.3);
      figure.line(ends, [guard, guard], { line_color: this.colour("red"), line_dash: [6, 3] });
    });
    figure.line(ends, [this.bands.length, this.bands.length], { line_color: rule });
  }

  x(row) {
    return this.base + row + 0.5;
  }

  y(n, sp) {
    return this.place.get(n) - 0.05 - 0.9 * this.scales[n].at(sp);
  }

  // What is visible: every step, or of each column of pixels the lowest and the highest SP in each band.
  sample() {
    const { run, base } = this, pixels = Math.max(100, Math.floor(this.element.clientWidth - 80));
    const first = Math.max(0, Math.floor(this.range.start - base) - 1), end = Math.min(run.count, Math.ceil(this.range.end - base) + 1);
    const [line, moves] = end - first <= 2 * pixels ? this.every(first, end) : this.columns(first, end, pixels);
    this.line.data = line;
    this.moves.data = moves;
    this.marks.data = this.marksIn(first, end, pixels);
  }

  every(first, end) {
    const { run, base } = this, line = { x: [], y: [] }, moves = { x: [], y: [] };
    let last = null;
    for (let row = first; row < end; row++) {
      const n = run.before.stack[row] - 1;
      const y = n < 0 ? NaN : this.y(n, run.rows[run.sp].number(row));
      if (last && last.n !== n) {
        line.x.push(NaN), line.y.push(NaN);
        moves.x.push(base + row, base + row, NaN), moves.y.push(last.y, y, NaN);
      }
      line.x.push(base + row, base + row + 1), line.y.push(y, y);
      last = { n, y };
    }
    return [line, moves];
  }

  columns(first, end, pixels) {
    const { run, base } = this, found = this.bands.map(() => ({ x: [], y: [] })), index = new Map(this.bands.map((n, k) => [n, k]));
    const each = (end - first) / pixels, sp = run.rows[run.sp];
    for (let column = 0; column < pixels; column++) {
      const low = this.bands.map(() => Infinity), high = this.bands.map(() => -Infinity);
      const [from, to] = [Math.floor(first + column * each), Math.floor(first + (column + 1) * each)];
      for (let row = from; row < to; row++) {
        const n = run.before.stack[row] - 1;
        if (n < 0) continue;
        const k = index.get(n), value = sp.number(row);
        if (value < low[k]) low[k] = value;
        if (value > high[k]) high[k] = value;
      }
      const x = base + from + each / 2;
      this.bands.forEach((n, k) => {
        const seen = low[k] <= high[k];
        found[k].x.push(x, x);
        found[k].y.push(seen ? this.y(n, high[k]) - 0.004 : NaN, seen ? this.y(n, low[k]) + 0.004 : NaN);
      });
    }
    const all = { x: [], y: [] };
    for (const band of found) {
      all.x = all.x.concat(band.x, NaN);
      all.y = all.y.concat(band.y, NaN);
    }
    return [all, { x: [], y: [] }];
  }

  // Marks of events, at most one of a kind for each few pixels.
  marksIn(first, end, pixels) {
    const [accent, red, dim] = ["accent", "red", "dim"].map((name) => this.colour(name));
    const looks = { other: ["circle", dim, 0.2], guard: ["diamond", red, 0.5], switch: ["triangle", accent, 0.8], bad: ["x", red, 0.5] };
    const data = { x: [], y: [], marker: [], color: [] }, seen = new Set(), each = Math.max(1, (4 * (end - first)) / pixels);
    for (const event of this.run.events) {
      if (event.row < first || event.row >= end) continue;
      const kind = event.kind === "sp" ? "switch" : event.kind, look = event.bad ? "bad" : looks[kind] ? kind : "other", key = look + Math.floor(event.row / each);
      if (seen.has(key)) continue;
      seen.add(key);
      data.x.push(this.x(event.row)), data.y.push(this.bands.length + this.lane * looks[look][2]);
      data.marker.push(looks[look][0]), data.color.push(looks[look][1]);
    }
    return data;
  }

  show(row) {
    this.row = row;
    const x = this.x(row), { range } = this, width = range.end - range.start;
    if (x < range.start || x > range.end) this.zoomTo(x - width / 2, width);
    if (this.cursor) this.cursor.location = x;
    this.keepInView(this.run.before.stack[row] - 1);
  }

  // Scrolls to a stack's band where the bands are more than fit.
  keepInView(n) {
    const { element } = this, all = element.scrollHeight;
    if (!this.place.has(n) || all <= element.clientHeight) return;
    const middle = ((this.bands.length + this.lane - this.place.get(n)) / (this.bands.length + this.lane)) * (all - REST / 2);
    if (middle < element.scrollTop + 8 || middle > element.scrollTop + element.clientHeight - REST) element.scrollTop = middle - element.clientHeight / 2;
  }

  zoom(factor) {
    const width = (this.range.end - this.range.start) * factor;
    this.zoomTo(this.x(this.row) - width / 2, width);
  }

  zoomTo(start, width) {
    const { count } = this.run, span = Math.min(count, Math.max(Math.min(FEWEST_SHOWN, count), width));
    const from = Math.min(Math.max(this.base, start), this.base + count - span);
    this.range.setv({ start: from, end: from + span });
  }
}
