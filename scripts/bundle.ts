import type { BuildOptions } from 'esbuild';

/** A CommonJS module inside the bundle asks for node's own modules with `require`, which ES modules lack. */
const REQUIRE_FOR_COMMONJS = [
  "import { createRequire as __createRequire } from 'node:module';",
  'const require = __createRequire(import.meta.url);',
].join('\n');

/** How our programs are bundled, for esbuild: everything is inside. */
export const BUNDLE = {
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node22.22',
  legalComments: 'external',
  banner: { js: REQUIRE_FOR_COMMONJS },
  logLevel: 'warning',
} as const satisfies BuildOptions;
