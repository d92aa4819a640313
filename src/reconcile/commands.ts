import type { ClusterRecord } from '../protocol/record.ts';
import { type AppliedCommand, already, type CommandContext, done } from './command-answers.ts';
import { type PlanCommand, tellPlan } from './plan-commands.ts';
import { applyPodCommand, type MoveLeaderCommand, type PodCommand } from './pods.ts';
import { askToScale, type ScaleCommand } from './scaling.ts';
import { applySpaceCommand, type DefragmentCommand, type DisarmCommand } from './space-commands.ts';

/** What an operator tells a scheduler. It takes effect through the record, so that it outlives the scheduler. */
export type OperatorCommand =
  /** Give the service up. Without leave to destroy the data it waits for `continue`. */
  | {
      readonly kind: 'uninstall';
      readonly by: 'environment' | 'operator';
      readonly destroyData: boolean;
    }
  /** Go on with what waits for a word. */
  | { readonly kind: 'continue' }
  | PodCommand
  | MoveLeaderCommand
  | DefragmentCommand
  | DisarmCommand
  | ScaleCommand
  | PlanCommand;

/** What a command makes of the record. Pure; the answer counts once the record is stored. */
export function applyCommand(
  record: ClusterRecord,
  command: OperatorCommand,
  context: CommandContext,
): AppliedCommand {
  switch (command.kind) {
    case 'uninstall':
      return askToUninstall(record, command, context.seen.wallMs);
    case 'continue':
      return continued(record);
    case 'pod':
    case 'move-leader':
      return applyPodCommand(record, command, context);
    case 'scale':
      return askToScale(record, command, context);
    case 'plan':
      return tellPlan(record, command, context);
    case 'defragment':
    case 'disarm':
      return applySpaceCommand(record, command, context);
  }
}

/** As the command `uninstall`: it needs no look at the world. */
export function askToUninstall(
  record: ClusterRecord,
  { by, destroyData }: Pick<OperatorCommand & { kind: 'uninstall' }, 'by' | 'destroyData'>,
  wallMs: number,
): AppliedCommand {
  const { uninstall } = record;
  if (uninstall === null) {
    const message = destroyData
      ? 'uninstalling: every member is ended and its data destroyed'
      : 'uninstalling waits for leave to destroy the data';
    const asked = { askedAtMs: wallMs, by, confirmed: destroyData, skipped: [] };
    return { record: { ...record, uninstall: asked }, answer: done(message) };
  }
  if (uninstall.confirmed || !destroyData) {
    return { record, answer: already('uninstalling was asked for before') };
  }
  return continued(record);
}

function continued(record: ClusterRecord): AppliedCommand {
  const { uninstall } = record;
  if (uninstall === null || uninstall.confirmed) {
    return { record, answer: already('nothing waits to be continued') };
  }
  return {
    record: { ...record, uninstall: { ...uninstall, confirmed: true } },
    answer: done('uninstalling goes on: every member is ended and its data destroyed'),
  };
}
