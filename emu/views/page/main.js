// Puts the page together: one current row, shown in every part; keys, buttons and the address bar change it.

const KEYS = [
  [["ArrowRight", "j"], "forward", "→ or J", "a step forward"],
  [["ArrowLeft", "k"], "back", "← or K", "a step back"],
  [["PageDown"], "farForward", "Page Down", "10 steps forward"],
  [["PageUp"], "farBack", "Page Up", "10 steps back"],
  [["Home"], "first", "Home", "the first step"],
  [["End"], "last", "End", "the last step"],
  [["s"], "switchOn", "S", "the next switch of stack or g"],
  [["S"], "switchBack", "Shift+S", "the previous switch"],
  [["g"], "guardOn", "G", "the next change of a guard"],
  [["G"], "guardBack", "Shift+G", "the previous change of a guard"],
  [["e"], "eventOn", "E", "the next event"],
  [["E"], "eventBack", "Shift+E", "the previous event"],
  [["+", "="], "zoomIn", "+", "show fewer steps in the time line"],
  [["-"], "zoomOut", "−", "show more steps"],
  [["0"], "zoomAll", "0", "show all steps"],
  [["/"], "ask", "/", "type the number of a step"],
  [["?"], "help", "?", "this help"],
];

class Page {
  constructor(run) {
    this.run = run;
    this.row = -1;
    const touched = touchedParts(run), go = (row) => this.go(row);
    this.stacks = new Stacks(run, touched, byId("columns"));
    this.timeline = new Timeline(run, this.stacks.scales, touched, byId("plot"), go);
    this.code = new Code(run, byId("lines"), go);
    this.events = new Events(run, byId("list"), go);
    this.frames = new Frames(run);
    this.fields = fieldsOf(run);
    this.actions = this.table();
  }

  table() {
    const by = (count) => () => this.go(this.row + count);
    const jump = (kind, forward) => () => {
      const row = this.events.next(kind, this.row, forward);
      if (row !== null) this.go(row);
    };
    return {
      forward: by(1), back: by(-1), farForward: by(10), farBack: by(-10), first: () => this.go(0), last: () => this.go(this.run.count - 1),
      switchOn: jump("switch", true), switchBack: jump("switch", false), guardOn: jump("guard", true), guardBack: jump("guard", false),
      eventOn: jump("event", true), eventBack: jump("event", false),
      zoomIn: () => this.timeline.zoom(0.5), zoomOut: () => this.timeline.zoom(2), zoomAll: () => this.timeline.zoom(Infinity),
      ask: () => byId("at").select(), help: () => byId("help").showModal(),
    };
  }

  async start() {
    const { run } = this, { header, record } = { header: run.header, record: run.record };
    const part = record.end - record.first < record.steps ? `steps ${record.first}–${record.end - 1} of ${record.steps}` : plural(record.steps, "step");
    byId("about").append(...[header.command, part, header.go, header.sha256 && `sha256 ${header.sha256.slice(0, 12)}…`].filter(Boolean).map((words) => make("span", {}, words)));
    if (record.damage) byId("about").append(make("span", { class: "chip bad" }, `! ${record.damage}`));
    byId("of").textContent = `of ${run.step(run.count - 1)}`;
    byId("keys").append(...KEYS.map(([, , key, words]) => make("tr", {}, make("th", { scope: "row" }, make("kbd", {}, key)), make("td", {}, words))));
    document.addEventListener("keydown", (event) => this.key(event));
    document.addEventListener("click", (event) => this.actions[event.target.closest?.("[data-do]")?.dataset.do]?.());
    byId("at").addEventListener("change", () => this.typed());
    addEventListener("hashchange", () => this.go(this.asked() ?? this.row));
    this.go(this.asked() ?? 0);
    await this.timeline.start();
  }

  // The row that the address bar names, as #step=N.
  asked() {
    const found = /^#step=(\d+)$/.exec(location.hash);
    return found ? this.run.row(Number(found[1])) : null;
  }

  typed() {
    const text = byId("at").value.trim();
    if (/^\d+$/.test(text)) this.go(this.run.row(Number(text)));
    byId("at").value = this.run.step(this.row);
    byId("at").blur();
  }

  key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey || byId("help").open || event.target === byId("at")) return;
    if (event.target.closest("#lines, #list, .scroll") && /^(Page|Home|End)/.test(event.key)) return; // these scroll
    const found = KEYS.find(([keys]) => keys.includes(event.key));
    if (!found) return;
    event.preventDefault();
    this.actions[found[1]]();
  }

  // Shows a row; many in one frame (a key held down) cost as much as the last.
  go(row) {
    const wanted = Math.min(this.run.count - 1, Math.max(0, row));
    if (wanted === this.row) return;
    this.row = wanted;
    this.drawn ??= requestAnimationFrame(() => {
      this.drawn = undefined;
      this.show();
    });
  }

  show() {
    const { run, row } = this;
    showNow(run, row, byId("now"));
    this.stacks.show(row);
    this.code.show(row);
    this.events.show(row);
    showRegisters(run, row, byId("values"));
    this.frames.show(row, byId("words"), byId("whose"));
    showFields(run, this.fields, row, byId("fields"));
    this.timeline.show(row);
    if (document.activeElement !== byId("at")) byId("at").value = run.step(row);
    clearTimeout(this.named);
    this.named = setTimeout(() => history.replaceState(null, "", "#step=" + run.step(row)), 150); // browsers limit how often
    document.body.dataset.step = run.step(row);
  }
}

unpack(byId("data").textContent)
  .then(([record, arrays]) => new Page(new Run(record, arrays)).start())
  .then(() => (document.body.dataset.ready = "yes"))
  .catch((error) => {
    byId("now").textContent = `The page could not be shown: ${error.message}`;
    console.error(error);
  });
