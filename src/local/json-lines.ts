/** Longest line that is taken from a peer: a launch with its task is some kilobytes, a reregistration more. */
const LINE_BYTES_MAX = 16 * 1024 * 1024;

/**
 * Cuts a byte stream into lines of JSON. Give it chunks as they come.
 * @param onValue told of every line's value, synchronously.
 * @returns takes a chunk; throws a `SyntaxError` or a `RangeError` on what is no such stream: close it then.
 */
export function createJsonLineReader(onValue: (value: unknown) => void): (chunk: Uint8Array) => void {
  let pieces: Uint8Array[] = [];
  let sizeBytes = 0;
  return (chunk) => {
    let rest = chunk;
    for (let end = rest.indexOf(0x0a); end >= 0; end = rest.indexOf(0x0a)) {
      const line = Buffer.concat([...pieces, rest.subarray(0, end)]).toString('utf8');
      pieces = [];
      sizeBytes = 0;
      rest = rest.subarray(end + 1);
      if (line !== '') onValue(JSON.parse(line));
    }
    if (rest.length === 0) return;
    // A copy: who reads a socket may use its buffer again.
    pieces.push(Buffer.from(rest));
    sizeBytes += rest.length;
    if (sizeBytes > LINE_BYTES_MAX) throw new RangeError(`a line of more than ${LINE_BYTES_MAX} bytes`);
  };
}

export function toJsonLine(value: unknown): string {
  return `${JSON.stringify(value)}\n`;
}
