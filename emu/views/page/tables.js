// Registers, the words of the frame, and the words of g, m and others: values before the step, and what it changes.

const BELOW = 2, ABOVE = 64, FEW_FIELDS = 40;

// A row of a table: name, value (with the new one if the step changes it), what it points to.
function valueRow(run, name, value, later, attributes = {}, note = "", tail = "") {
  const changed = later !== null && later !== value, text = (v) => (v === null ? "?" : hex(v));
  const shown = changed ? later : value;
  return make("tr", { ...attributes, class: [attributes.class, changed && "changed"].filter(Boolean).join(" ") || null },
    make("th", { scope: "row" }, name, changed && make("b", { title: "changed by this step" }, "*")),
    make("td", { class: "value" }, changed && make("s", {}, text(value)), changed && " ", make("span", {}, text(shown))),
    make("td", { class: "means" }, note && make("span", { class: "note" }, note), shown === null ? "" : pointed(run, shown), tail && make("span", { class: "tail" }, tail)));
}

function flagNames(run, value) {
  return Object.entries(run.header.flagBits).map(([name, bit]) => ((value >> BigInt(bit)) & 1n ? name : "–")).join("");
}

function showRegisters(run, row, table) {
  const ended = run.ended(row), flags = run.role("flags");
  const roles = new Map(Object.entries(run.header.roles).map(([role, name]) => [name, role]));
  table.replaceChildren(...run.columns.map((name, n) => {
    const value = run.value(n, row), later = ended ? run.after(n, row) : null, role = roles.get(name);
    const flagged = n === flags ? flagNames(run, later ?? value) : "";
    return valueRow(run, name, value, n === run.pc ? null : later, {}, flagged || (role && role !== name ? role : ""));
  }));
}

// Why a word of a stack holds what it holds: what the run wrote there (@ the step), or how the routine was entered.
// `why` gives a title, and after it the step that wrote.
class Frames {
  constructor(run) {
    this.run = run;
    this.entries = new Map(); // address of a symbol -> rows where it was entered
    const starts = new Set(run.record.names.symbols.map((symbol) => symbol[1])), pc = run.rows[run.pc];
    for (let row = 0; row < run.count; row++) {
      const at = pc.number(row);
      if (!starts.has(at)) continue;
      if (!this.entries.has(at)) this.entries.set(at, []);
      this.entries.get(at).push(row);
    }
  }

  // The row in which the routine that runs was entered, if the trace has it. After returns from calls of itself
  // it is the newest entry that is not deeper than SP.
  entered(row) {
    const { run } = this, { names } = run, at = address(run.value(run.pc, row));
    const symbol = names.names.symbols[above(names.starts, at) - 1];
    const rows = (symbol && at < symbol[1] + symbol[2] && this.entries.get(symbol[1])) || [];
    const sp = run.rows[run.sp], stack = run.before.stack;
    for (let n = above(rows, row) - 1, tries = 0; n >= 0 && tries < 1000; n--, tries++) {
      if (stack[rows[n]] !== stack[row] || sp.number(rows[n]) >= sp.number(row)) return rows[n];
    }
    return null;
  }

  why(at, row, entry) {
    const { run } = this, write = run.memory.written(at, row + 1);
    if (write) return [this.writer(write), `@${run.step(write.row)}`];
    if (entry === null || run.before.stack[entry] !== run.before.stack[row]) return [];
    const offset = at - run.rows[run.sp].number(entry), { header, word } = run;
    if (header.returnOnStack && offset === 0) return ["return PC"];
    const number = (offset - header.firstArgument) / word;
    if (!Number.isInteger(number) || number < 0) return [];
    for (const n of run.memory.touching(at, word, row)) if (run.memory.rows[n] - 1 >= entry) return [`at argument ${number}`];
    return [];
  }

  // What a write stored: the return PC of a call, or a register that has a role.
  writer(write) {
    const { run } = this;
    if (write.outside) return "from outside";
    if (write.row < 0) return "";
    const [at, bytes] = run.line(write.row);
    if (write.value === BigInt(at + bytes.length / 2)) return "return PC";
    const titles = { link: "return PC", ctxt: "saved ctxt", fp: "saved fp", flags: "saved flags", g: "g" };
    for (const [role, title] of Object.entries(titles)) {
      const column = run.role(role);
      if (column >= 0 && run.value(column, write.row) === write.value) return `${title} (${run.columns[column]})`;
    }
    const column = run.columns.findIndex((_, n) => n !== run.pc && run.value(n, write.row) === write.value);
    return column < 0 ? "written" : `was ${run.columns[column]}`;
  }

  show(row, table, whose) {
    const { run } = this, now = run.account(row), entry = this.entered(row), { word } = run;
    whose.textContent = entry === null ? "" : `${run.where(entry)}, entered at step ${run.step(entry)}`;
    if (!now.stack) return table.replaceChildren(make("tr", {}, make("td", {}, "SP is in no stack")));
    const base = Math.floor(now.sp / word) * word, rows = [];
    const high = Math.min(base + ABOVE * word, now.stack.hi), name = (at) => (at === base ? "▸SP" : `SP${at > base ? "+" : "−"}${Math.abs(at - base)}`);
    let unknown = null; // where words begin of which nothing is known
    const close = (end) => {
      if (unknown === null) return;
      const range = end - unknown > word ? `${name(unknown)}…${name(end - word).slice(2)}` : name(unknown);
      rows.push(make("tr", { class: "unknown" }, make("th", { scope: "row" }, range), make("td", { class: "value" }, "?"), make("td", { class: "means" }, plural((end - unknown) / word, "word") + " not known")));
      unknown = null;
    };
    for (let at = Math.max(base - BELOW * word, now.stack.lo); at < high; at += word) {
      const value = run.memory.at(at, row), later = run.memory.at(at, row + 1);
      if (value === null && later === null && at !== base) {
        unknown ??= at;
        continue;
      }
      close(at);
      rows.push(valueRow(run, name(at), value, later, { class: at === base ? "here" : null, title: hex(at) }, ...this.why(at, row, entry)));
    }
    close(high);
    return table.replaceChildren(...rows);
  }
}

// Named words outside of stacks that the run touches: where SP and PC are saved, guards, bounds.
function fieldsOf(run) {
  const found = new Map(), { memory, names, word } = run;
  for (const [kind, from, label] of names.names.structs) {
    if (kind === "g" && memory.at(from + run.header.guardOffset, 0) !== null && run.stacks.some((s) => s.g === from)) found.set(from + run.header.guardOffset, label);
  }
  const touched = new Set();
  for (const list of memory.touched.values()) for (const n of list.slice(0, 4)) touched.add(memory.addresses.number(n));
  for (const at of touched) {
    const aligned = Math.floor(at / word) * word;
    if (names.struct(aligned) || names.exact.has(aligned)) found.set(aligned, "");
  }
  const known = (at) => memory.at(at, 0) !== null || memory.at(at, run.count) !== null;
  return [...found.keys()].filter(known).sort((a, b) => a - b).slice(0, FEW_FIELDS * 4);
}

function showFields(run, fields, row, table) {
  const here = new Set(run.memory.of(row).map((n) => Math.floor(run.memory.addresses.number(n) / run.word) * run.word));
  const near = fields.length > FEW_FIELDS ? fields.filter((at) => here.has(at) || run.memory.written(at, row)).slice(-FEW_FIELDS) : fields;
  table.replaceChildren(...near.map((at) => {
    const value = run.memory.at(at, row), later = run.memory.at(at, row + 1);
    return valueRow(run, run.names.describe(at), value, later, { class: here.has(at) ? "used" : null, title: hex(at) }, here.has(at) && value === later ? "read" : "");
  }));
}
