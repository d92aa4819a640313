import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { readProject } from './project-files.ts';

/** docs/spec says of each line which test holds it, and quotes constants with their values: both are looked up. */

const files = new Map(readProject().map((file) => [file.path, file.text]));
const pages = [...files.keys()].filter((name) => name.startsWith('docs/spec/'));

interface Quote {
  readonly where: string;
  readonly file: string;
  readonly quoted: string;
}

/** Links whose target is a file of the project. */
function linksOf(page: string): Quote[] {
  return (files.get(page) ?? '').split('\n').flatMap((line, at) =>
    [...line.matchAll(/\[([^\]]+)\]\(([^)#]+)\)/g)].map(([, quoted = '', target = '']) => ({
      where: `${page}:${at + 1}`,
      file: path.posix.join(path.posix.dirname(page), target),
      quoted,
    })),
  );
}

/** `NAME` = 1,000 … before the link to the source file that it is in. */
function constantsOf(page: string): (Quote & { readonly value: string })[] {
  const text = files.get(page) ?? '';
  return [...text.matchAll(/`([A-Z][A-Z_]+)` = ([\d,]*\d)/g)].map(
    ({ index, 1: quoted = '', 2: value = '' }) => {
      const [, source = ''] = /\]\((\.\.\/\.\.\/src\/[^)]+)\)/.exec(text.slice(index)) ?? [];
      const file = path.posix.join(path.posix.dirname(page), source);
      return { where: page, file, quoted, value: value.replaceAll(',', '') };
    },
  );
}

describe('docs/spec', () => {
  it('links to nothing that is not there', () => {
    const missing = pages.flatMap(linksOf).filter(({ file }) => !files.has(file));
    expect(missing.map(({ where, file }) => `${where} ${file}`)).toEqual([]);
  });

  it('names a test of that title in that file', () => {
    const cited = pages.flatMap(linksOf).filter(({ file }) => file.startsWith('test/'));
    const wrong = cited.filter(({ file, quoted }) => files.get(file)?.includes(`'${quoted}'`) === false);
    expect(wrong.map(({ where, file, quoted }) => `${where} ${file}: ${quoted}`)).toEqual([]);
    expect(cited.length).toBeGreaterThan(80);
  });

  it('quotes constants with the values that they have', () => {
    const quotes = pages.flatMap(constantsOf);
    const wrong = quotes.filter(({ file, quoted, value }) => {
      const found = new RegExp(`^(?:export )?const ${quoted} = ([\\d_]+);`, 'm').exec(files.get(file) ?? '');
      return found?.[1]?.replaceAll('_', '') !== value;
    });
    expect(wrong.map(({ where, file, quoted }) => `${where} ${quoted} in ${file}`)).toEqual([]);
    expect(quotes.length).toBeGreaterThan(40);
  });
});
