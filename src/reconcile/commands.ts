import type { ClusterRecord } from '../protocol/record.ts';

/** What an operator tells a scheduler. It takes effect through the record, so that it outlives the scheduler. */
export type OperatorCommand =
  /** Give the service up. Without leave to destroy the data it waits for `continue`. */
  | {
      readonly kind: 'uninstall';
      readonly by: 'environment' | 'operator';
      readonly destroyData: boolean;
    }
  /** Go on with what waits for a word. */
  | { readonly kind: 'continue' };

export interface CommandAnswer {
  /** `already`: it was said before, or nothing waits for it. */
  readonly outcome: 'done' | 'already';
  /** For people. */
  readonly message: string;
}

/** What a command makes of the record. Pure; the answer counts once the record is stored. */
export function applyCommand(
  record: ClusterRecord,
  command: OperatorCommand,
  wallMs: number,
): { readonly record: ClusterRecord; readonly answer: CommandAnswer } {
  switch (command.kind) {
    case 'uninstall':
      return uninstalled(record, command, wallMs);
    case 'continue':
      return continued(record);
  }
}

function uninstalled(
  record: ClusterRecord,
  { by, destroyData }: OperatorCommand & { kind: 'uninstall' },
  wallMs: number,
): ReturnType<typeof applyCommand> {
  const { uninstall } = record;
  if (uninstall === null) {
    const message = destroyData
      ? 'uninstalling: every member is ended and its data destroyed'
      : 'uninstalling waits for leave to destroy the data';
    const asked = { askedAtMs: wallMs, by, confirmed: destroyData, skipped: [] };
    return { record: { ...record, uninstall: asked }, answer: { outcome: 'done', message } };
  }
  if (uninstall.confirmed || !destroyData) {
    return { record, answer: { outcome: 'already', message: 'uninstalling was asked for before' } };
  }
  return continued(record);
}

function continued(record: ClusterRecord): ReturnType<typeof applyCommand> {
  const { uninstall } = record;
  if (uninstall === null || uninstall.confirmed) {
    return { record, answer: { outcome: 'already', message: 'nothing waits to be continued' } };
  }
  return {
    record: { ...record, uninstall: { ...uninstall, confirmed: true } },
    answer: {
      outcome: 'done',
      message: 'uninstalling goes on: every member is ended and its data destroyed',
    },
  };
}
