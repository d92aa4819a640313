/**
 * The base of every error that this project throws on purpose. A module has one subclass with a closed union
 * of codes; callers branch on `code`, people read `message` and `hint`.
 */
export abstract class CodedError<Code extends string> extends Error {
  /** What went wrong, stable over releases. */
  readonly code: Code;
  /** What the reader can do about it, a sentence; absent where there is nothing to add. */
  readonly hint: string | undefined;

  constructor(code: Code, message: string, options: { cause?: unknown; hint?: string } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = new.target.name;
    this.code = code;
    this.hint = options.hint;
  }
}

/** One line for a log or a terminal: the message, then the messages of its causes, unless it repeats them already. */
export function describeError(error: unknown): string {
  const parts: string[] = [];
  let current: unknown = error;
  for (let depth = 0; depth < 5 && current !== undefined && current !== null; depth += 1) {
    const message = current instanceof Error ? current.message || current.name : String(current);
    if (message !== '' && !parts.some((part) => part.includes(message))) parts.push(message);
    current = current instanceof Error ? current.cause : undefined;
  }
  return parts.join(': ');
}
