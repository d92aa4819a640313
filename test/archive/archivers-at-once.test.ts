import { testArchiversAtOnce } from '../backup/archivers-at-once.ts';
import { scaled } from './scale.ts';

testArchiversAtOnce('archive', Number(process.env['RUNS'] ?? scaled(1000)));
