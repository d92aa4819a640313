import { describe, expect, it } from 'vitest';
import { collectErrors, renderErrors } from './error-reference.ts';
import { readProject } from './project-files.ts';

describe('docs/errors.md', () => {
  const classes = collectErrors(readProject());

  it('is what the sources say', async () => {
    await expect(renderErrors(classes)).toMatchFileSnapshot('../../docs/errors.md');
  });

  it('lists every code of every class once', () => {
    const listed = classes.flatMap(({ name, codes }) => codes.map(({ code }) => `${name} ${code}`));
    expect(listed.length).toBeGreaterThan(0);
    expect(new Set(listed).size).toBe(listed.length);
    expect(new Set(classes.map(({ name }) => name)).size).toBe(classes.length);
  });

  it('has words for every class', () => {
    for (const { name, about } of classes) expect(about, `the TSDoc of ${name}`).not.toBe('');
  });
});

describe('an error class is read', () => {
  const read = (text: string) => collectErrors([{ path: 'src/base/a.ts', text }]);

  it('with its codes, their comments, messages and hints', () => {
    const [found] = read(`
      /** What can go wrong. */
      export class AError extends CodedError<
        /** Nobody is there. */
        | 'absent'
        | 'broken'
      > {}
      throw new AError('absent', \`no \${name} here\`, { hint: 'Put one ' + 'there.' });
    `);
    expect(found).toEqual({
      name: 'AError',
      path: 'src/base/a.ts',
      about: 'What can go wrong.',
      codes: [
        { code: 'absent', about: 'Nobody is there.', messages: ['no … here'], hints: ['Put one there.'] },
        { code: 'broken', about: '', messages: [], hints: [] },
      ],
    });
  });

  it('through named types', () => {
    const [found] = read(`
      type Codes = 'one' | Problem['code'];
      interface Problem { code: 'two' }
      class AError extends CodedError<Codes> {}
    `);
    expect(found?.codes.map(({ code }) => code)).toEqual(['one', 'two']);
  });

  it('or refused where its codes are not understood', () => {
    expect(() => read('class AError extends CodedError<string> {}')).toThrow('AError');
  });
});
