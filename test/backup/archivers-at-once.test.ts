import { testArchiversAtOnce } from './archivers-at-once.ts';

/** `npm run test:archive` does thousands. */
testArchiversAtOnce('unit', Number(process.env['RUNS'] ?? 100));
