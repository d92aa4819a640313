/** That a key has no place. */
export const NO_PLACE = 0xffff_ffff;

/**
 * Keys with a place each, in little more memory than the bytes of the keys: of maps with text of millions of keys the
 * memory would be several times that.
 */
export class KeyPlaces {
  /** All keys, one behind the other. */
  #bytes = Buffer.allocUnsafeSlow(64 * 1024);
  #count = 0;
  /** Of each key: where it ends, its hash, its place. */
  #ends = new Uint32Array(1024);
  #hashes = new Uint32Array(1024);
  #places = new Uint32Array(1024);
  /** A key's number plus one, at the first free slot from that of its hash on; 0: free. Always half of it is free. */
  #slots = new Uint32Array(2048);

  /** Of all keys together. */
  get sizeBytes(): number {
    return this.#end(this.#count - 1);
  }

  /** Gives the number of a key, which has no place if it is new. @param hash the same for the same key. */
  add(key: Buffer, hash: number): number {
    const slot = this.#slotOf(key, hash);
    const known = this.#slots[slot] ?? 0;
    if (known !== 0) return known - 1;
    const number = this.#count;
    this.#makeRoom(key.length);
    const start = this.sizeBytes;
    key.copy(this.#bytes, start);
    this.#count += 1;
    this.#ends[number] = start + key.length;
    this.#hashes[number] = hash;
    this.#places[number] = NO_PLACE;
    this.#slots[slot] = number + 1;
    if (this.#count * 2 > this.#slots.length) this.#spread();
    return number;
  }

  /** Gives the number of a key; -1 where it was not added. */
  find(key: Buffer, hash: number): number {
    return (this.#slots[this.#slotOf(key, hash)] ?? 0) - 1;
  }

  placeOf(number: number): number {
    return this.#places[number] ?? NO_PLACE;
  }

  setPlace(number: number, place: number): void {
    this.#places[number] = place;
  }

  /** Where the key is, or would be. */
  #slotOf(key: Buffer, hash: number): number {
    const last = this.#slots.length - 1;
    let slot = slotOfHash(hash, this.#slots.length);
    for (let known = this.#slots[slot] ?? 0; known !== 0; known = this.#slots[slot] ?? 0) {
      if (this.#hashes[known - 1] === hash && this.#isKey(known - 1, key)) return slot;
      slot = (slot + 1) & last;
    }
    return slot;
  }

  #isKey(number: number, key: Buffer): boolean {
    const [start, end] = [this.#end(number - 1), this.#end(number)];
    return end - start === key.length && this.#bytes.compare(key, 0, key.length, start, end) === 0;
  }

  #end(number: number): number {
    return number < 0 ? 0 : (this.#ends[number] ?? 0);
  }

  #makeRoom(keyBytes: number): void {
    const wanted = this.sizeBytes + keyBytes;
    if (wanted > this.#bytes.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(wanted, this.#bytes.length * 2));
      this.#bytes.copy(larger, 0, 0, this.sizeBytes);
      this.#bytes = larger;
    }
    if (this.#count < this.#ends.length) return;
    [this.#ends, this.#hashes, this.#places] = [
      doubled(this.#ends),
      doubled(this.#hashes),
      doubled(this.#places),
    ];
  }

  #spread(): void {
    const slots = new Uint32Array(this.#slots.length * 2);
    for (let number = 0; number < this.#count; number += 1) {
      let slot = slotOfHash(this.#hashes[number] ?? 0, slots.length);
      while (slots[slot] !== 0) slot = (slot + 1) & (slots.length - 1);
      slots[slot] = number + 1;
    }
    this.#slots = slots;
  }
}

/** By the upper bits of a product: the lower ones of the hash may be the same for all keys here. */
function slotOfHash(hash: number, slots: number): number {
  return Math.imul(hash, 0x9e3779b1) >>> (32 - Math.log2(slots));
}

function doubled(array: Uint32Array<ArrayBuffer>): Uint32Array<ArrayBuffer> {
  const larger = new Uint32Array(array.length * 2);
  larger.set(array);
  return larger;
}
