import type { Logger } from '../src/base/ports.ts';

/** For what a test does not look at. */
export const silentLogger: Logger = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  child: () => silentLogger,
};
