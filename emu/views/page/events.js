// The list of events around the current step, and ways from one to the next.

const EVENTS_AROUND = 60;

class Events {
  constructor(run, element, go) {
    Object.assign(this, { run, element, go });
    const rows = (wanted) => [...new Set(run.events.filter(wanted).map((event) => event.row))];
    this.rows = { switch: rows((e) => e.kind === "switch" || e.kind === "sp"), guard: rows((e) => e.kind === "guard" || e.kind === "low"), event: rows(() => true) };
  }

  // The row of the next (or the previous) event of a kind; null if there is none.
  next(kind, row, forward) {
    const rows = this.rows[kind], place = above(rows, forward ? row : row - 1);
    return rows[forward ? place : place - 1] ?? null;
  }

  show(row) {
    const { run, element } = this, events = run.events;
    if (!events.length) return element.replaceChildren(make("li", {}, "none"));
    run.at(0);
    const at = above(run.eventRows, row), first = Math.max(0, at - EVENTS_AROUND), end = Math.min(events.length, at + EVENTS_AROUND);
    if (this.first !== first || this.end !== end) {
      [this.first, this.end] = [first, end];
      element.replaceChildren(...events.slice(first, end).map((event) => this.item(event)));
    }
    let last = null;
    for (const button of element.querySelectorAll("button")) {
      const here = Number(button.dataset.row) === row;
      button.toggleAttribute("aria-current", here);
      if (here) button.setAttribute("aria-current", "step");
      if (Number(button.dataset.row) <= row) last = button;
    }
    if (last) {
      const top = last.offsetTop - element.offsetTop;
      if (top < element.scrollTop || top > element.scrollTop + element.clientHeight - 24) element.scrollTop = top - element.clientHeight / 2;
    }
    return undefined;
  }

  item(event) {
    const sign = event.bad ? "✕" : { switch: "▲", sp: "▲", guard: "◆", gap: "⋯" }[event.kind] ?? "●";
    return make("li", {}, make("button", { type: "button", "data-row": event.row, class: event.bad ? "bad" : event.kind, onclick: () => this.go(event.row), title: event.text },
      make("span", { class: "number" }, String(this.run.step(event.row))), make("span", { class: "sign", "aria-hidden": "true" }, sign), make("span", {}, event.text)));
  }
}

// The step in words: whose it is, where SP stands, what the instruction is and does.
function showNow(run, row, element) {
  const now = run.account(row), then = run.account(row, true), [, , text, source] = run.line(row);
  const fact = (name, value, bad) => make("span", { class: bad ? "fact bad" : "fact" }, make("small", {}, name), " ", value);
  const thread = run.record.threads[run.threads[row]] ?? String(run.threads[row]);
  const notes = run.at(row).map((event) => make("span", { class: event.bad ? "chip bad" : "chip" }, event.text));
  const moved = then.sp - now.sp, switching = now.stack && now.stack.label !== now.g;
  element.replaceChildren(
    make("div", { class: "facts" },
      fact("step", String(run.step(row))), fact("thread", thread), fact("g", now.g),
      fact("SP in", now.stack ? `${now.stack.name}, ${now.depth} of ${now.size} bytes` : "no stack", !now.stack),
      fact("guard", now.guard, now.guard !== "normal"),
      switching && make("span", { class: "chip" }, "switching: g and SP disagree"), ...notes, now.low && make("span", { class: "chip bad" }, "! SP below guard")),
    make("div", { class: "does" }, make("span", { class: "where" }, run.where(row)), make("code", {}, text),
      source && make("span", { class: "source" }, source), run.ended(row) && moved ? make("span", { class: "moved" }, `SP ${signed(moved)}`) : "", ...effects(run, row)));
}

function* effects(run, row) {
  for (const n of run.memory.of(row)) {
    const access = run.memory.describe(n), name = run.names.describe(access.address) || hex(access.address);
    const value = access.write ? access.value : run.memory.value(access.address, Math.min(8, access.size), row);
    const points = value === null ? "" : run.names.pointee(value);
    const verb = access.outside ? "from outside" : access.write ? "writes" : "reads";
    yield make("span", { class: "effect" }, `${verb} [${name}] ${access.write ? "←" : "="} ${value === null ? "?" : hex(value)}${points ? ` (${points})` : ""}`);
  }
}
