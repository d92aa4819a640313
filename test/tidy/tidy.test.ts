import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it, test } from 'vitest';
import { VERSION } from '../../src/base/build.ts';
import { type FolderRule, parseFolderTable } from './folder-table.ts';
import { projectRoot, readProject } from './project-files.ts';
import { FILE_LINES_MAX, findViolations } from './rules.ts';

const files = readProject();
const textOf = (name: string): string => {
  const file = files.find((candidate) => candidate.path === name);
  if (file === undefined) throw new Error(`${name} is missing`);
  return file.text;
};
const folders = parseFolderTable(textOf('docs/architecture.md'));
const packageJson = JSON.parse(textOf('package.json')) as {
  readonly version: string;
  readonly scripts: Readonly<Record<string, string>>;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
};

describe('the project', () => {
  it('breaks no rule', () => {
    const findings = findViolations(files, folders);
    expect(findings.map(({ path: file, line, message }) => `${file}:${line} ${message}`)).toEqual([]);
  }, 120_000);

  it('has a row in docs/architecture.md for every folder of src', () => {
    const known = folders.map(({ folder }) => folder);
    for (const folder of foldersOf('src')) expect(known).toContain(`src/${folder}`);
  });

  it('mirrors src in test, besides the folders that test the whole', () => {
    const known = folders.map(({ folder }) => path.basename(folder));
    const whole = [
      'archive',
      'containers',
      'contract',
      'data',
      'e2e',
      'production',
      'operations',
      'real-etcd',
      'replay',
      'scripts',
      'sim',
      'tidy',
    ];
    for (const folder of foldersOf('test')) expect([...known, ...whole]).toContain(folder);
  });

  it('says why it has each dependency, in docs/dependencies.md', () => {
    const rows = [...textOf('docs/dependencies.md').matchAll(/^\| `([^`]+)` \|/gm)].map((match) => match[1]);
    const wanted = Object.keys({ ...packageJson.dependencies, ...packageJson.devDependencies });
    expect(rows.toSorted()).toEqual(wanted.toSorted());
  });

  it('pins every dependency to one version', () => {
    const versions = Object.values({ ...packageJson.dependencies, ...packageJson.devDependencies });
    for (const version of versions) expect(version).toMatch(/^(npm:@?[\w/-]+@)?\d+\.\d+\.\d+$/);
  });

  it('has a file behind every link of its pages', () => {
    const pages = files.filter((file) => file.path.endsWith('.md'));
    const dead = pages.flatMap((page) =>
      [...page.text.matchAll(/\]\((?!https?:|#)([^)#]+)[^)]*\)/g)]
        .map(([, link = '']) => path.join(projectRoot, path.dirname(page.path), link))
        .filter((target) => !existsSync(target))
        .map((target) => `${page.path}: ${path.relative(projectRoot, target)}`),
    );
    expect(dead).toEqual([]);
  });

  it('has one version', () => {
    expect(VERSION).toBe(packageJson.version);
  });

  it('has the scripts that package.json names', () => {
    const named = Object.values(packageJson.scripts).flatMap(
      (script) => script.match(/(scripts|bench)\/\S+/g) ?? [],
    );
    for (const script of named) expect(files.map((file) => file.path)).toContain(script);
  });
});

function foldersOf(folder: string): readonly string[] {
  return readdirSync(path.join(projectRoot, folder), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name);
}

const TABLE: readonly FolderRule[] = parseFolderTable(`
## Folders

| folder | what lives there | may import | may touch |
| --- | --- | --- | --- |
| \`src/base/\` | what all else stands on | nothing | nothing |
| \`src/protocol/\` | messages | nothing | nothing |
| \`src/reconcile/\` | decisions | protocol | nothing |
| \`src/member/\` | supervisor | protocol, etcd | files |
| \`src/runtime/\` | the world | all but cli | everything |
| \`src/cli/\` | commands | runtime, protocol | everything |

## Next
`);

/** Planted, so joined from halves where the rule looks at text. */
const UNFINISHED = `TO${'DO'}`;

describe('the rules find', () => {
  test.for([
    ['src/base/a.ts', `import { x } from '../protocol/x.ts';`, 'src/base may not import src/protocol'],
    ['src/base/a.ts', `import { join } from 'node:path';`, 'imports no modules from outside'],
    ['src/reconcile/a.ts', `import { z } from 'zod';`, 'imports no modules from outside'],
    ['src/reconcile/a.ts', `import type { X } from '../member/x.ts';`, 'may not import src/member'],
    ['src/member/a.ts', `export { X } from '../framework/x.ts';`, 'may not import src/framework'],
    ['src/member/a.ts', `const x = await import('../framework/x.ts');`, 'may not import src/framework'],
    ['src/runtime/a.ts', `import { main } from '../cli/main.ts';`, 'may not import src/cli'],
    ['src/member/a.ts', `import { request } from 'node:http';`, 'may not touch sockets'],
    ['src/member/a.ts', `import { world } from '../../test/sim/world.ts';`, 'which is not shipped'],
    ['src/elsewhere/a.ts', `export const x = 1;`, 'in no folder that docs/architecture.md knows'],
    ['src/member/a.ts', `const now = Date.now();`, 'Date.now'],
    ['src/member/a.ts', `const now = Date\n  .now();`, 'Date.now'],
    ['src/member/a.ts', `const now = new Date();`, 'new Date()'],
    ['src/member/a.ts', `const now = performance.now();`, 'performance'],
    ['src/member/a.ts', `const x = Math.random();`, 'Math.random'],
    ['src/member/a.ts', `const roll = Math.random;`, 'Math.random'],
    ['src/member/a.ts', `setTimeout(() => {}, 5);`, 'setTimeout'],
    ['src/member/a.ts', `globalThis.setTimeout(() => {}, 5);`, 'setTimeout'],
    ['src/member/a.ts', `const timers = { later: setTimeout };`, 'setTimeout'],
    ['src/member/a.ts', `setInterval(() => {}, 5);`, 'setInterval'],
    ['src/member/a.ts', `await fetch('http://localhost');`, 'fetch'],
    ['src/member/a.ts', `const signal = AbortSignal.timeout(5);`, 'AbortSignal.timeout'],
    ['src/member/a.ts', `const id = crypto.randomUUID();`, 'randomUUID'],
    ['src/member/a.ts', `import { randomUUID as fresh } from 'node:crypto';`, 'randomUUID'],
    ['src/member/a.ts', `import { setTimeout as sleep } from 'node:timers/promises';`, 'node:timers'],
    ['src/member/a.ts', `console.log('here');`, 'take a Logger'],
    ['src/member/a.ts', `import { z } from 'zod';`, 'import * as z'],
    ['src/member/a.ts', `export default 1;`, 'default export'],
    ['src/member/a.ts', `export default function main() {}`, 'default export'],
    ['src/member/a.ts', `// ${UNFINISHED}: later`, UNFINISHED],
    ['docs/a.md', `${UNFINISHED}: later`, UNFINISHED],
    ['docs/a.md', `See /${'home'}/me/notes.`, 'somebody’s machine'],
    ['test/member/a.test.ts', `it.${'only'}('x', () => {});`, 'muted'],
  ] as const)('%s: %s', ([file, text, message]) => {
    const findings = findViolations([{ path: file, text }], TABLE);
    expect(findings.map((finding) => finding.message).join('\n')).toContain(message);
  });
});

test('the rules find a file that is too long, by one line', () => {
  const lines = (count: number) => [{ path: 'src/member/a.ts', text: 'export {};\n'.repeat(count) }];
  expect(findViolations(lines(FILE_LINES_MAX), TABLE)).toEqual([]);
  expect(findViolations(lines(FILE_LINES_MAX + 1), TABLE)).toHaveLength(1);
});

describe('the rules leave alone', () => {
  test.for([
    ['src/reconcile/a.ts', `import { assert } from '../base/assert.ts';`],
    ['src/reconcile/a.ts', `import type { Order } from '../protocol/orders.ts';`],
    ['src/reconcile/a.ts', `import { quorum } from './quorum.ts';`],
    ['src/member/a.ts', `import { readFile } from 'node:fs/promises';`],
    ['src/member/a.ts', `import * as z from 'zod';`],
    ['src/runtime/a.ts', `const at = Date.now(); setTimeout(() => {}, 5);`],
    ['src/member/a.ts', `const at = new Date(1000).toISOString();`],
    ['src/member/a.ts', `app.fetch(request); clock.setTimeout(5);`],
    ['src/member/a.ts', `const get = (fetch: Fetcher) => fetch('x');`],
    ['src/member/a.ts', `// Date.now() is not asked here\nconst text = 'setTimeout(';`],
    ['src/cli/a.ts', `console.log('here');`],
    ['test/member/a.test.ts', `await fetch('http://localhost'); const t = Date.now();`],
    ['vitest.config.ts', `export default {};`],
  ] as const)('%s: %s', ([file, text]) => {
    expect(findViolations([{ path: file, text }], TABLE)).toEqual([]);
  });
});

describe('the folder table', () => {
  test.for([
    ['no section', 'nothing'],
    ['an unknown word', '## Folders\n| `src/a/` | x | nothing | the moon |\n## Next'],
    ['a missing cell', '## Folders\n| `src/a/` | x | nothing |\n## Next'],
  ] as const)('is refused with %s', ([, markdown]) => {
    expect(() => parseFolderTable(markdown)).toThrow();
  });
});
