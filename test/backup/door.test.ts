import { testDoor } from './door.ts';

/** `npm run test:archive` does thousands. */
testDoor('unit', Number(process.env['RUNS'] ?? 60));
