import { CodedError } from '../base/errors.ts';
import { OptionsError } from '../protocol/option-sources.ts';
import { exitCodeOf } from '../runtime/exit-code.ts';
import { paintFor } from './style.ts';

/**
 * Says on stderr what ended a command: one message and what to do. Only a bug of ours shows where in the program.
 * @returns the exit code.
 */
export async function reportFailure(error: unknown): Promise<number> {
  const paint = paintFor(process.stderr, process.env);
  const head = paint('etcd-mesos:', 'red');
  if (error instanceof OptionsError) {
    await write(error.problems.map(({ message, hint }) => `${head} ${message}\n${indent(hint)}\n`).join(''));
  } else if (error instanceof CodedError) {
    const hint = error.hint === undefined ? '' : `${indent(error.hint)}\n`;
    await write(`${head} ${indent(error.message).trimStart()}\n${hint}`);
  } else {
    const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
    await write(`${head} this is a bug of etcd-mesos, please report it:\n${stack}\n`);
  }
  return exitCodeOf(error);
}

const indent = (text: string): string =>
  text
    .split('\n')
    .map((line) => `  ${line}`)
    .join('\n');

/** Resolves when the text is out, so that a pipe gets it before the process ends. */
async function write(text: string): Promise<void> {
  await new Promise<void>((resolve) => {
    process.stderr.write(text, () => resolve());
  });
}
