// Where an address of a stack is drawn: the part that SP and the run's accesses touch is drawn large, the rest
// (what lies above, down to the guard, the red zone, below it) small; a zigzag marks what is shortened.

const WORDS_AROUND = 3, FEWEST_WORDS = 10;

// -> [{lo, hi, weight, kind}] from the top (hi) down; `kind`: "near" is to scale, "far" is shortened, "red" the red zone.
function zones(stack, touched, red, word) {
  const clamp = (at) => Math.min(stack.hi, Math.max(stack.lo, at));
  let [low, high] = touched ?? [stack.hi, stack.hi];
  [low, high] = [low - WORDS_AROUND * word, high + WORDS_AROUND * word];
  const missing = FEWEST_WORDS * word - (high - low);
  if (missing > 0) [low, high] = [low - Math.ceil(missing / 2 / word) * word, high + Math.ceil(missing / 2 / word) * word];
  [low, high] = [clamp(low), clamp(high)];
  const guard = stack.guard ? clamp(stack.guard) : stack.lo;
  const floor = stack.guard ? clamp(stack.guard - red) : stack.lo;
  const edges = [...new Set([stack.hi, high, low, guard, floor, stack.lo])].sort((a, b) => b - a);
  return edges.slice(1).map((lo, n) => {
    const hi = edges[n];
    if (touched && lo >= low && hi <= high) return { lo, hi, weight: (hi - lo) / (high - low), kind: "near" };
    return { lo, hi, weight: 0, kind: stack.guard && hi <= guard && lo >= floor ? "red" : "far" };
  });
}

// Places 0 (top) to 1 (bottom) for the addresses of one stack. `share`: the height of each shortened zone.
class Scale {
  constructor(stack, touched, red, word, share) {
    this.zones = zones(stack, touched, red, word);
    const small = this.zones.filter((zone) => !zone.weight).length;
    const each = this.zones.length === small ? 1 / small : Math.min(share, 0.6 / Math.max(1, small));
    let top = 0;
    for (const zone of this.zones) {
      zone.top = top;
      zone.height = zone.weight ? zone.weight * (1 - small * each) : each;
      top += zone.height;
    }
  }

  at(address) {
    for (const zone of this.zones) {
      if (address >= zone.lo) return zone.top + (Math.max(0, zone.hi - address) / (zone.hi - zone.lo)) * zone.height;
    }
    return 1;
  }
}

// For every stack: the lowest and highest address that SP has and that is accessed near it; null where nothing is.
function touchedParts(run) {
  const found = run.stacks.map(() => null);
  const add = (number, low, high) => {
    const part = found[number];
    if (!part) found[number] = [low, high];
    else [part[0], part[1]] = [Math.min(part[0], low), Math.max(part[1], high)];
  };
  const sp = run.rows[run.sp], cut = run.cut.words[run.sp];
  for (let row = 0; row < run.count; row++) if (run.before.stack[row]) add(run.before.stack[row] - 1, sp.number(row), sp.number(row));
  run.cut.rows.forEach((row, n) => run.then.stack[row] && add(run.then.stack[row] - 1, cut.number(n), cut.number(n)));
  const visited = run.stacks.map((stack, n) => [stack, n]).filter(([, n]) => found[n]);
  const { memory } = run, near = 64 * run.word;
  for (let n = 0; n < memory.rows.length; n++) {
    const at = memory.addresses.number(n), size = memory.info[n] >>> 8;
    for (const [stack, number] of visited) {
      if (at < stack.lo || at >= stack.hi || memory.info[n] & OUTSIDE) continue;
      if (at >= found[number][0] - near && at <= found[number][1] + near) add(number, at, at + size);
    }
  }
  return found;
}
