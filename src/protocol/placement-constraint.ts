import { RE2JS, RE2JSSyntaxException } from 're2js';

/**
 * Placement constraints as Marathon and the services of DC/OS write them. Three spellings mean the same:
 * `[["rack","GROUP_BY","3"],["hostname","UNIQUE"]]`, one flat list for a single constraint `["hostname","UNIQUE"]`,
 * and `rack:GROUP_BY:3,hostname:UNIQUE`, where a backslash takes `,`, `:` and itself as they are.
 */
export interface PlacementConstraint {
  /** `hostname`, `@zone`, `@region` or the name of an agent's attribute. */
  readonly field: string;
  readonly operator: PlacementOperator;
  /** `null` where the operator needs none and got none. */
  readonly parameter: string | null;
}

/** What each is given: nothing, a whole number, a value or a regular expression; the last two may be optional. */
const PARAMETERS = {
  UNIQUE: 'none',
  MAX_PER: 'count',
  CLUSTER: 'optional-value',
  GROUP_BY: 'optional-count',
  LIKE: 'pattern',
  UNLIKE: 'pattern',
  IS: 'value',
  IS_NOT: 'value',
} as const;
export type PlacementOperator = keyof typeof PARAMETERS;
export const PLACEMENT_OPERATORS = Object.keys(PARAMETERS) as readonly PlacementOperator[];

const CONSTRAINTS_MAX = 16;
const TEXT_CHARS_MAX = 4096;
const FIELD_CHARS_MAX = 128;
/** The expressions are matched in time linear in what they are matched against, whatever they are. */
const PATTERN_CHARS_MAX = 256;
const COUNT_MAX = 1000;

/** Reads constraints in any spelling; `problem` says what is wrong with which. An empty text is an empty list. */
export function parsePlacement(
  text: string,
): { readonly value: readonly PlacementConstraint[] } | { readonly problem: string } {
  try {
    if (text.length > TEXT_CHARS_MAX) throw new Complaint(`it has more than ${TEXT_CHARS_MAX} characters`);
    const parts = text.trim().startsWith('[') ? fromJson(text) : fromWords(text.trim());
    if (parts.length > CONSTRAINTS_MAX) {
      throw new Complaint(`it has ${parts.length} constraints, at most ${CONSTRAINTS_MAX} are taken`);
    }
    return { value: parts.map(constraintOf) };
  } catch (error) {
    if (error instanceof Complaint) return { problem: error.message };
    throw error;
  }
}

/** A spelling that {@link parsePlacement} reads back. */
export function formatPlacement(constraints: readonly PlacementConstraint[]): string {
  return JSON.stringify(
    constraints.map(({ field, operator, parameter }) =>
      parameter === null ? [field, operator] : [field, operator, parameter],
    ),
  );
}

/** For people: `rack GROUP_BY 3`. */
export function describeConstraint({ field, operator, parameter }: PlacementConstraint): string {
  return parameter === null ? `${field} ${operator}` : `${field} ${operator} ${parameter}`;
}

/** What is wrong with a text; never leaves this file. */
class Complaint extends Error {}

function fromJson(text: string): readonly (readonly string[])[] {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new Complaint(`it begins like JSON and is none: ${(cause as Error).message}`);
  }
  const list = json as readonly unknown[];
  const isFlat = list.length > 0 && list.every((item) => !Array.isArray(item));
  return (isFlat ? [list] : list).map((item) => {
    const isWords =
      Array.isArray(item) && item.every((word) => typeof word === 'string' || typeof word === 'number');
    if (!isWords) throw new Complaint(`${JSON.stringify(item)} is not a list of texts`);
    return item.map(String);
  });
}

function fromWords(text: string): readonly (readonly string[])[] {
  if (text === '') return [];
  return splitUnescaped(text, ',', Number.POSITIVE_INFINITY).map((part) =>
    // What follows the second colon is the parameter, whatever is in it.
    splitUnescaped(part, ':', 3).map((word) => word.replaceAll(/\\([,:\\])/g, '$1').trim()),
  );
}

/** Cuts at a separator that no backslash protects, into at most `partsMax`; backslashes stay. */
function splitUnescaped(text: string, separator: string, partsMax: number): readonly string[] {
  const parts: string[] = [];
  let part = '';
  for (let index = 0; index < text.length; index += 1) {
    const char = text.charAt(index);
    if (char === separator && parts.length + 1 < partsMax) {
      parts.push(part);
      part = '';
    } else {
      const escaped = char === '\\' ? text.charAt(index + 1) : '';
      part += char + escaped;
      index += escaped.length;
    }
  }
  return [...parts, part];
}

function constraintOf(words: readonly string[]): PlacementConstraint {
  const spelled = words.join(':');
  const complain = (what: string): never => {
    throw new Complaint(`constraint ${JSON.stringify(spelled)}: ${what}`);
  };
  if (words.length < 2 || words.length > 3) {
    return complain(
      `it has ${words.length} parts; it must be a field, an operator and, for most, a parameter`,
    );
  }
  const [field = '', operatorText = '', parameterText = ''] = words;
  const operator = PLACEMENT_OPERATORS.find((known) => known === operatorText.toUpperCase());
  if (operator === undefined) {
    return complain(`"${operatorText}" is not an operator; there are ${PLACEMENT_OPERATORS.join(', ')}`);
  }
  return {
    field: fieldOf(field, complain),
    operator,
    parameter: parameterOf(operator, parameterText, complain),
  };
}

type Complain = (what: string) => never;

function fieldOf(text: string, complain: Complain): string {
  if (text === '@hostname') return 'hostname';
  if (text === '') return complain('it names no field');
  if (text.length > FIELD_CHARS_MAX) return complain(`its field has more than ${FIELD_CHARS_MAX} characters`);
  if (text.startsWith('@') && text !== '@zone' && text !== '@region') {
    return complain(`"${text}" is not a field; beside attributes there are hostname, @zone and @region`);
  }
  return text;
}

function parameterOf(operator: PlacementOperator, text: string, complain: Complain): string | null {
  const kind = PARAMETERS[operator];
  if (text === '') {
    if (kind === 'none' || kind === 'optional-count' || kind === 'optional-value') return null;
    return complain(`${operator} needs a parameter`);
  }
  switch (kind) {
    case 'none':
      return complain(`${operator} takes no parameter`);
    case 'count':
    case 'optional-count':
      if (/^\d{1,4}$/.test(text) && Number(text) >= 1 && Number(text) <= COUNT_MAX)
        return String(Number(text));
      return complain(`the parameter of ${operator} must be a whole number from 1 to ${COUNT_MAX}`);
    case 'pattern':
      return patternOf(text, complain);
    case 'value':
    case 'optional-value':
      return text;
  }
}

function patternOf(text: string, complain: Complain): string {
  if (text.length > PATTERN_CHARS_MAX) {
    return complain(`its regular expression has more than ${PATTERN_CHARS_MAX} characters`);
  }
  try {
    RE2JS.compile(text);
    return text;
  } catch (error) {
    if (!(error instanceof RE2JSSyntaxException)) throw error;
    return complain(
      `"${text}" is not a regular expression of RE2 (${error.message}); ` +
        'look-around and back references are not taken',
    );
  }
}
