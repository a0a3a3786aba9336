// Memory before any row: what was there at first, and the writes since, found by the word they touch.

const WRITE = 1, OUTSIDE = 2;

class Memory {
  constructor(record, arrays, word) {
    this.word = word;
    this.pages = new Map(record.pages.map((page, n) => [page, n * 4096]));
    const bytes = (array) => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
    [this.bytes, this.known] = [bytes(arrays.memory), bytes(arrays.known)];
    this.rows = arrays["access.at"]; // of each access: how many rows there are up to its own
    this.info = arrays["access.info"];
    this.addresses = new Words(arrays, "access.address");
    this.values = new Words(arrays, "access.value");
    this.touched = new Map(); // cell of 8 bytes -> numbers of the accesses to it, ascending
    for (let n = 0; n < this.rows.length; n++) {
      const from = this.addresses.number(n);
      const last = Math.floor((from + Math.max(1, this.info[n] >>> 8) - 1) / 8);
      for (let cell = Math.floor(from / 8); cell <= last; cell++) {
        const list = this.touched.get(cell);
        if (list) list.push(n);
        else this.touched.set(cell, [n]);
      }
    }
  }

  // Accesses of one row's instruction, those from outside after it included.
  of(row) {
    const found = [];
    for (let n = above(this.rows, row); n < this.rows.length && this.rows[n] === row + 1; n++) found.push(n);
    return found;
  }

  describe(n) {
    const info = this.info[n];
    return {
      row: this.rows[n] - 1, address: this.addresses.number(n), size: info >>> 8,
      value: this.values.at(n), write: (info & WRITE) > 0, outside: (info & OUTSIDE) > 0,
    };
  }

  // Numbers of the accesses that touch any of `size` bytes of one cell, before `row`, newest first.
  *inCell(cell, from, size, row) {
    const list = this.touched.get(cell) ?? [];
    let [low, high] = [0, list.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.rows[list[middle]] <= row) low = middle + 1;
      else high = middle;
    }
    for (let i = low - 1; i >= 0; i--) {
      const start = this.addresses.number(list[i]);
      if (start < from + size && from < start + (this.info[list[i]] >>> 8)) yield list[i];
    }
  }

  *touching(from, size, row) {
    const last = Math.floor((from + size - 1) / 8);
    for (let cell = Math.floor(from / 8); cell <= last; cell++) yield* this.inCell(cell, from, size, row);
  }

  // `size` bytes before `row` as one value; null if any of them is not known.
  value(from, size, row) {
    let value = 0n;
    for (let at = from; at < from + size;) {
      const end = Math.min(from + size, (Math.floor(at / 8) + 1) * 8), part = this.part(at, end - at, row);
      if (part === null) return null;
      value |= part << BigInt(8 * (at - from));
      at = end;
    }
    return value;
  }

  // The same within one cell. Bytes past the eighth of a wide write are not on record.
  part(from, size, row) {
    let value = 0n, missing = (1 << size) - 1; // a bit for each byte that is still looked for
    for (const n of this.inCell(Math.floor(from / 8), from, size, row)) {
      if (!(this.info[n] & WRITE)) continue;
      const start = this.addresses.number(n), length = this.info[n] >>> 8, whole = this.values.at(n);
      for (let i = 0; i < size; i++) {
        const offset = from + i - start;
        if (!(missing & (1 << i)) || offset < 0 || offset >= length) continue;
        if (offset >= 8) return null;
        value |= ((whole >> BigInt(8 * offset)) & 0xffn) << BigInt(8 * i);
        missing &= ~(1 << i);
      }
      if (!missing) return value;
    }
    const base = this.pages.get(Math.floor(from / 4096) * 4096);
    for (let i = 0; i < size; i++) {
      if (!(missing & (1 << i))) continue;
      const at = base + ((from + i) % 4096);
      if (base === undefined || !this.known[at]) return null;
      value |= BigInt(this.bytes[at]) << BigInt(8 * i);
    }
    return value;
  }

  at(from, row) {
    return this.value(from, this.word, row);
  }

  // The newest write to a word before `row`; null if the run wrote nothing there.
  written(from, row) {
    for (const n of this.touching(from, this.word, row)) if (this.info[n] & WRITE) return this.describe(n);
    return null;
  }
}
