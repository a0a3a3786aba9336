// The packed text -> the record and its arrays of 32-bit numbers (pack.py is the other end).

async function unpack(text) {
  if (!globalThis.DecompressionStream) throw new Error("this browser cannot unpack the page's data: it is too old");
  const packed = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const buffer = await new Response(stream).arrayBuffer();
  const size = new DataView(buffer).getUint32(0, true);
  const record = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, size)));
  const start = 4 + size + (-size & 3);
  const arrays = {};
  for (const [name, [at, count]] of Object.entries(record.arrays)) {
    const array = new Uint32Array(buffer, start + at, count);
    for (let i = 1; i < count; i++) array[i] ^= array[i - 1];
    arrays[name] = array;
  }
  return [record, arrays];
}

// Words are BigInts where they are values, numbers where they are addresses.
// -> the address a value may be; NaN if it is beyond what a number holds.
const address = (value) => (value < 0x20000000000000n ? Number(value) : NaN);
const hex = (value) => "0x" + value.toString(16);

// One array of 32-bit lanes per half of a word -> the word at a place.
class Words {
  constructor(arrays, name) {
    [this.low, this.high] = [arrays[name + ".0"], arrays[name + ".1"]];
  }

  at(place) {
    const low = BigInt(this.low[place]);
    return this.high ? (BigInt(this.high[place]) << 32n) | low : low;
  }

  number(place) {
    return this.low[place] + (this.high ? this.high[place] * 0x100000000 : 0);
  }
}

// The first place in an ascending array where it is greater than `value`.
function above(array, value, low = 0, high = array.length) {
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (array[middle] <= value) low = middle + 1;
    else high = middle;
  }
  return low;
}
