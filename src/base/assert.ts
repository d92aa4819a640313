/** A bug in our own code: what was held to be impossible happened. Never caught to carry on; the process ends. */
export class AssertionError extends Error {
  override readonly name = 'AssertionError';
}

/** Ends the current work when a condition that our own code must keep does not hold. Stays on in production. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new AssertionError(message);
}

/** The `default` of a switch over a closed union: the compiler proves it is never reached. */
export function unreachable(value: never): never {
  throw new AssertionError(`unreachable: ${JSON.stringify(value)}`);
}
