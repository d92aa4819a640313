import { mutantNamed, plant } from './planting.ts';
import type { SeedOrder } from './report.ts';

/*
 * A process that lives through the seeds it is sent, one at a time, and sends a report of each. It ends with whoever
 * started it. With a name as its argument that bug is planted in it.
 */

const [name] = process.argv.slice(2);
const notLoaded = name === undefined ? () => [] : plant(mutantNamed(name));
const { liveThrough } = await import('./life.ts');
const [missing] = notLoaded();
if (missing !== undefined) throw new Error(`${name} does not apply: ${missing} is not loaded`);

process.on('message', (order: SeedOrder) => {
  void liveThrough(order).then((report) => process.send?.(report));
});
process.on('disconnect', () => process.exit());
