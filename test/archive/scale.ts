/** For a run of a night: ARCHIVE_SCALE=20 npm run test:archive does twenty times as much of all that is random. */
const SCALE = Number(process.env['ARCHIVE_SCALE'] ?? 1);

/** How much of something is done. */
export const scaled = (count: number): number => Math.ceil(count * SCALE);
