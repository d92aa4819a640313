import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import {
  describeConstraint,
  formatPlacement,
  PLACEMENT_OPERATORS,
  type PlacementConstraint,
  parsePlacement,
} from '../../src/protocol/placement-constraint.ts';

function parsed(text: string): readonly PlacementConstraint[] {
  const result = parsePlacement(text);
  if ('problem' in result) throw new Error(result.problem);
  return result.value;
}
function problemOf(text: string): string {
  const result = parsePlacement(text);
  if ('value' in result) throw new Error(`accepted: ${formatPlacement(result.value)}`);
  return result.problem;
}

const one = (field: string, operator: PlacementConstraint['operator'], parameter: string | null = null) => [
  { field, operator, parameter },
];

describe('placement constraints are read in each spelling', () => {
  test.for([
    ['[["hostname","UNIQUE"]]', one('hostname', 'UNIQUE')],
    ['["hostname","UNIQUE"]', one('hostname', 'UNIQUE')],
    ['hostname:UNIQUE', one('hostname', 'UNIQUE')],
    [' hostname : unique ', one('hostname', 'UNIQUE')],
    ['[["@hostname","max_per","1"]]', one('hostname', 'MAX_PER', '1')],
    ['[["hostname","MAX_PER",2]]', one('hostname', 'MAX_PER', '2')],
    ['[["rack","CLUSTER",""]]', one('rack', 'CLUSTER')],
    ['@zone:GROUP_BY:03', one('@zone', 'GROUP_BY', '3')],
    ['rack:LIKE:r[1\\,2]', one('rack', 'LIKE', 'r[1,2]')],
    ['url:IS:http://a:80/', one('url', 'IS', 'http://a:80/')],
    ['a\\:b:IS:c\\\\d', one('a:b', 'IS', 'c\\d')],
    ['rack:LIKE:r\\d+', one('rack', 'LIKE', 'r\\d+')],
    ['@region:IS_NOT:eu', one('@region', 'IS_NOT', 'eu')],
    ['', []],
    ['[]', []],
    ['[["a","UNLIKE","x|y"],["b","IS","1"]]', [...one('a', 'UNLIKE', 'x|y'), ...one('b', 'IS', '1')]],
    ['a:UNLIKE:x|y,b:IS:1', [...one('a', 'UNLIKE', 'x|y'), ...one('b', 'IS', '1')]],
  ] as const)('%s', ([text, constraints]) => {
    expect(parsed(text)).toEqual(constraints);
  });

  it('whatever is written is read back, with colons and with brackets (property)', () => {
    const word = fc.string({ minLength: 1, maxLength: 12 }).filter((text) => text.trim() === text);
    const field = word.filter((text) => !text.startsWith('@') && !text.startsWith('['));
    const constraint = fc.record({
      field,
      operator: fc.constantFrom('IS' as const, 'IS_NOT' as const),
      parameter: word,
    });
    const escaped = (text: string): string => text.replaceAll(/[,:\\]/g, '\\$&');
    fc.assert(
      fc.property(fc.array(constraint, { minLength: 1, maxLength: 5 }), (constraints) => {
        expect(parsed(formatPlacement(constraints))).toEqual(constraints);
        const words = constraints.map((entry) =>
          [entry.field, entry.operator, entry.parameter].map(escaped).join(':'),
        );
        expect(parsed(words.join(','))).toEqual(constraints);
      }),
    );
  });
});

describe('what is wrong is said of the constraint that is', () => {
  test.for([
    ['hostname', '"hostname": it has 1 parts; it must be a field, an operator'],
    [
      'rack:NEAR:r1',
      `"rack:NEAR:r1": "NEAR" is not an operator; there are ${PLACEMENT_OPERATORS.join(', ')}`,
    ],
    ['a:IS:1,rack:LIKE', '"rack:LIKE": LIKE needs a parameter'],
    ['rack:IS', 'IS needs a parameter'],
    ['hostname:UNIQUE:1', 'UNIQUE takes no parameter'],
    ['hostname:MAX_PER', 'MAX_PER needs a parameter'],
    ['hostname:MAX_PER:0', 'must be a whole number from 1 to 1000'],
    ['hostname:MAX_PER:two', 'must be a whole number from 1 to 1000'],
    ['rack:GROUP_BY:-1', 'must be a whole number from 1 to 1000'],
    ['@rack:UNIQUE', '"@rack" is not a field; beside attributes there are hostname, @zone and @region'],
    [':UNIQUE', 'it names no field'],
    ['rack:LIKE:r[1', '"r[1" is not a regular expression of RE2 (error parsing regexp: missing closing ]'],
    ['rack:UNLIKE:(?=r)', 'look-around and back references are not taken'],
    ['rack:LIKE:(a{1000}){1000}', 'is not a regular expression of RE2'],
    [`rack:LIKE:${'a'.repeat(257)}`, 'more than 256 characters'],
    ['[["rack","IS"', 'it begins like JSON and is none'],
    ['[["rack","IS",["a"]]]', '["rack","IS",["a"]] is not a list of texts'],
    ['[["a","IS","b"],"c"]', '"c" is not a list of texts'],
    ['[["a","IS","b","c"]]', 'it has 4 parts'],
    [Array.from({ length: 17 }, (_, at) => `a${at}:UNIQUE`).join(','), 'it has 17 constraints, at most 16'],
    ['x'.repeat(5000), 'more than 4096 characters'],
  ] as const)('%s', ([text, problem]) => {
    expect(problemOf(text)).toContain(problem);
  });

  it('never throws, whatever the text (property)', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 60 }), (text) => void parsePlacement(text)));
    const parts = fc.array(fc.constantFrom('[', ']', '"a"', ',', ':', '\\', 'UNIQUE', 'LIKE', '('));
    fc.assert(fc.property(parts, (words) => void parsePlacement(words.join(''))));
  });
});

test('a constraint is shown as it is meant', () => {
  const [constraint] = parsed('rack:group_by:3');
  if (constraint === undefined) throw new Error('none');
  expect(describeConstraint(constraint)).toBe('rack GROUP_BY 3');
});
