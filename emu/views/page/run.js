// The recorded run: rows, the state after each, the account of SP and guard, events.

class Run {
  constructor(record, arrays) {
    Object.assign(this, {
      record, header: record.header, word: record.header.word, stacks: record.stacks, gs: record.gs,
      numbers: arrays.step, count: arrays.step.length, threads: arrays.thread, columns: record.columns,
    });
    this.rows = record.columns.map((_, n) => new Words(arrays, "row." + n));
    this.cut = { rows: arrays.cut, known: arrays["cut.known"], words: record.columns.map((_, n) => new Words(arrays, "cut." + n)) };
    const side = (suffix) => ({
      stack: arrays["stack" + suffix], g: arrays["g" + suffix], guard: arrays["guard" + suffix],
      word: new Words(arrays, "word" + suffix), low: arrays["low" + suffix],
    });
    [this.before, this.then] = [side(""), side(".then")];
    this.memory = new Memory(record, arrays, this.word);
    this.names = new Names(record);
    this.code = new Map(record.code.map((line, n) => [line[0], n]));
    this.role = (role) => record.columns.indexOf(this.header.roles[role] ?? role);
    this.sp = this.role("sp");
    this.pc = this.role("pc");
    this.events = this.told();
  }

  step(row) {
    return this.numbers[row] + this.record.first;
  }

  // The row of a step, or the last one before it.
  row(step) {
    return Math.max(0, above(this.numbers, step - this.record.first) - 1);
  }

  value(column, row) {
    return this.rows[column].at(row);
  }

  // A register after a row's instruction: as the next row has it, or as it was kept where the run was cut.
  after(column, row) {
    const place = above(this.cut.rows, row) - 1;
    return place >= 0 && this.cut.rows[place] === row ? this.cut.words[column].at(place) : this.rows[column].at(row + 1);
  }

  // Whether the state after a row's instruction is on record.
  ended(row) {
    const place = above(this.cut.rows, row) - 1;
    return !(place >= 0 && this.cut.rows[place] === row) || this.cut.known[place] > 0;
  }

  // The account before (or after) a row's instruction. `stack` is null where SP is in none.
  account(row, then = false) {
    const side = then ? this.then : this.before;
    const sp = address(then ? this.after(this.sp, row) : this.value(this.sp, row));
    const stack = side.stack[row] ? this.stacks[side.stack[row] - 1] : null;
    const g = side.g[row] ? this.gs[side.g[row] - 1] : null;
    return {
      sp, stack, number: side.stack[row] - 1, g: g ? g[1] : "?", address: g ? g[0] : 0,
      guard: this.record.states[side.guard[row]], word: side.word.at(row), low: side.low[row] > 0,
      depth: stack ? stack.hi - sp : 0, size: stack ? stack.hi - stack.lo : 0,
    };
  }

  line(row) {
    return this.record.code[this.code.get(address(this.value(this.pc, row)))] ?? [0, "", "?", ""];
  }

  where(row) {
    const pc = this.value(this.pc, row);
    return this.names.symbol(address(pc)) || hex(pc);
  }

  // All events in order of rows: the recorded ones, and what the account says between a row and its end.
  told() {
    const found = this.record.events.filter(shown).map(([row, kind, thread, data]) => ({
      row: Math.max(row, 0), kind, thread, text: eventText(kind, data, this.gs), bad: isBad(kind, data),
    }));
    const { before, then } = this;
    for (let row = 0; row < this.count; row++) {
      const [from, to] = [before.stack[row], then.stack[row]];
      const name = (n) => (n ? this.stacks[n - 1].name : "nowhere");
      if (from !== to) found.push({ row, kind: "sp", thread: this.threads[row], text: `SP: ${name(from)}→${name(to)}`, bad: !to });
      if (then.low[row] && !before.low[row]) found.push({ row, kind: "low", thread: this.threads[row], text: "! SP below guard", bad: true });
      const gap = row && this.numbers[row] - this.numbers[row - 1] - 1;
      if (gap) found.push({ row, kind: "gap", thread: this.threads[row], text: `${gap} steps before this one are not recorded`, bad: false });
    }
    return found.sort((a, b) => a.row - b.row);
  }

  // Events of a row.
  at(row) {
    this.eventRows ??= Uint32Array.from(this.events, (event) => event.row);
    return this.events.slice(above(this.eventRows, row - 1), above(this.eventRows, row));
  }
}

const isBad = (kind, data) => kind === "check" || ["fault", "trap"].includes(data.why) || ["fault", "failed"].includes(data.outcome);
const shown = ([, kind, , data]) => !(kind === "stop" && data.shown === false) && !(kind === "check" && data.ok);

// An event's data in words.
function eventText(kind, data, gs) {
  const label = (at) => gs.find(([known]) => known === at)?.[1] ?? (at ? hex(at) : "?");
  const texts = {
    switch: () => `switch ${label(data.from)}→${label(data.to)}`,
    guard: () => `guard=${data.state} of ${label(data.g)}`,
    gate: () => `stop: ${data.name}`,
    syscall: () => (data.text ?? data.name) + (data.result === undefined ? "" : ` = ${data.result}`),
    signal: () => `signal ${data.name}`,
    stack: () => `${data.name} ${data.gone ? "is gone" : `is at ${hex(data.lo)}…${hex(data.hi)}`}`,
    thread: () => `thread ${data.name} ${data.ended ? "ends" : "begins"}`,
    struct: () => `${data.label} begins at ${hex(data.address)}`,
    check: () => `! ${data.name}: expected ${data.expected}, found ${data.found}`,
    stop: () => `stop: ${data.why}`,
    end: () => `${data.scene ? data.scene + ": " : ""}${data.end}`,
  };
  return (texts[kind] ?? (() => kind))();
}
