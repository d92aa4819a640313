/** Colours of a terminal, or none. */
export type Colour = 'red' | 'green' | 'yellow' | 'bold' | 'dim';
export type Paint = (text: string, colour: Colour) => string;

const CODES: Readonly<Record<Colour, readonly [number, number]>> = {
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  bold: [1, 22],
  dim: [2, 22],
};

export const plain: Paint = (text) => text;
const coloured: Paint = (text, colour) => `\u001b[${CODES[colour][0]}m${text}\u001b[${CODES[colour][1]}m`;

/** Colours go to terminals alone, and not where NO_COLOR is set to anything (https://no-color.org). */
export function paintFor(
  stream: { readonly isTTY?: boolean | undefined },
  environment: Readonly<Record<string, string | undefined>>,
): Paint {
  const isWanted =
    stream.isTTY === true && (environment['NO_COLOR'] ?? '') === '' && environment['TERM'] !== 'dumb';
  return isWanted ? coloured : plain;
}
