// The disassembly: lines around the current one.

const LINES_AROUND = 60;

class Code {
  constructor(run, element, go) {
    Object.assign(this, { run, element, go });
  }

  show(row) {
    const { run, element } = this, at = address(run.value(run.pc, row)), number = run.code.get(at) ?? 0;
    const first = Math.max(0, number - LINES_AROUND), end = Math.min(run.record.code.length, number + LINES_AROUND);
    if (this.first !== first || this.end !== end) this.fill(first, end);
    element.querySelector("[aria-current]")?.removeAttribute("aria-current");
    const current = element.querySelector(`[data-line="${number}"]`);
    if (!current) return;
    current.setAttribute("aria-current", "step");
    const top = current.offsetTop - element.offsetTop, low = element.scrollTop + 24, high = element.scrollTop + element.clientHeight - 60;
    if (top < low || top > high) element.scrollTop = top - element.clientHeight / 3;
  }

  fill(first, end) {
    [this.first, this.end] = [first, end];
    const { run } = this, lines = [];
    let symbol = null, behind = null;
    for (let n = first; n < end; n++) {
      const [at, bytes, text, source] = run.record.code[n], where = run.names.symbol(at) || hex(at);
      const [name, offset] = where.split(/\+(?=0x)/);
      if (name !== symbol) lines.push(make("li", { class: "symbol" }, name));
      else if (at !== behind) lines.push(make("li", { class: "skip" }, "⋯"));
      lines.push(make("li", { class: "line", "data-line": n, title: [hex(at), bytes, source].filter(Boolean).join("  ") },
        make("span", { class: "offset" }, offset ? "+" + offset : "+0x0"), make("span", { class: "text" }, text)));
      symbol = name;
      behind = at + bytes.length / 2;
    }
    this.element.replaceChildren(...lines);
  }
}
