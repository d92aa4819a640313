import { randomUUID } from 'node:crypto';
import type { Ids } from '../base/ports.ts';

export function createSystemIds(): Ids {
  return { uuid: () => randomUUID() };
}
