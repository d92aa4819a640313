import { testDoor } from './door.ts';

/** `npm run test:archive` does tens of thousands. */
testDoor('unit', Number(process.env['RUNS'] ?? 400));
