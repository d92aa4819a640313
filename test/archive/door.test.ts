import { testDoor } from '../backup/door.ts';
import { scaled } from './scale.ts';

testDoor('archive', Number(process.env['RUNS'] ?? scaled(1_500)));
