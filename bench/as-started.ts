import { keepNewSpaceSmall } from '../src/runtime/new-space.ts';

/* Imported first: what the real program does before it loads anything. */
keepNewSpaceSmall();
