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

  // Numbers of the accesses that touch any of `size` bytes, up to `row` (not included), newest first.
  *touching(from, size, row) {
    const last = Math.floor((from + size - 1) / 8);
    for (let cell = Math.floor(from / 8); cell <= last; cell++) {
      const list = this.touched.get(cell) ?? [];
      for (let i = list.length - 1; i >= 0; i--) {
        const n = list[i], start = this.addresses.number(n);
        if (this.rows[n] <= row && start < from + size && from < start + (this.info[n] >>> 8)) yield n;
      }
    }
  }

  byte(at, row) {
    for (const n of this.touching(at, 1, row)) {
      if (!(this.info[n] & WRITE)) continue;
      const offset = at - this.addresses.number(n);
      return offset < 8 ? Number((this.values.at(n) >> BigInt(8 * offset)) & 0xffn) : null;
    }
    const base = this.pages.get(Math.floor(at / 4096) * 4096);
    return base !== undefined && this.known[base + at % 4096] ? this.bytes[base + at % 4096] : null;
  }

  // `size` bytes before `row` as one value; null if any of them is not known.
  value(from, size, row) {
    let value = 0n;
    for (let i = size - 1; i >= 0; i--) {
      const byte = this.byte(from + i, row);
      if (byte === null) return null;
      value = (value << 8n) | BigInt(byte);
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
