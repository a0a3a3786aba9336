// Names for addresses and values, by the same rules as emu/naming.py.

class Names {
  constructor(record) {
    const names = record.names;
    this.names = names;
    this.exact = new Map(names.exact);
    this.gates = new Map(names.gates.map(([name, at]) => [at, name]).reverse());
    this.whole = new Map([...names.structs.map(([, at, label]) => [at, label]), ...names.values]);
    this.starts = names.symbols.map((symbol) => symbol[1]);
    this.special = new Map(record.header.special.map(([value, name]) => [BigInt(value), name]));
    this.stacks = record.stacks;
  }

  // -> symbol+offset, or "" where there is none
  symbol(at) {
    if (this.gates.has(at)) return this.gates.get(at);
    const symbol = this.names.symbols[above(this.starts, at) - 1];
    if (!symbol || at >= symbol[1] + symbol[2]) return "";
    return symbol[0] + (at > symbol[1] ? "+" + hex(at - symbol[1]) : "");
  }

  struct(at) {
    for (const [kind, from, label] of this.names.structs) {
      if (at < from || at >= from + this.names.sizes[kind]) continue;
      const field = this.names.fields[kind]?.[at - from];
      return label + (field ? "." + field : "+" + hex(at - from));
    }
    return "";
  }

  region(at) {
    for (const [name, from, size] of this.names.regions) if (from <= at && at < from + size) return name + "+" + hex(at - from);
    for (const stack of this.stacks) if (stack.lo <= at && at < stack.hi) return stack.name + "+" + hex(at - stack.lo);
    return "";
  }

  // An address in words; "" where nothing is known of it.
  describe(at) {
    return this.exact.get(at) || this.struct(at) || this.region(at) || this.symbol(at);
  }

  // What a value is or points to; "" where nothing is known of it.
  pointee(value) {
    if (this.special.has(value)) return this.special.get(value);
    const at = address(value);
    return Number.isNaN(at) ? "" : this.whole.get(at) || this.describe(at);
  }

  // The kind of place that a value points to: "stack N", "code", "struct", "data" or "".
  kind(value) {
    const at = address(value);
    if (Number.isNaN(at)) return "";
    const stack = this.stacks.findIndex((s) => s.lo <= at && at < s.hi);
    if (stack >= 0) return "stack " + stack;
    if (this.struct(at) || this.whole.has(at)) return "struct";
    if (this.exact.has(at) || this.region(at)) return "data";
    return this.symbol(at) ? "code" : "";
  }
}
