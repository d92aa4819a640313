import type { Pass } from './pass.ts';
import { isPaused } from './paused.ts';
import { runOfMove } from './rollout.ts';

/**
 * An operator holds the plan `recovery`: no lost member of this slot gets a successor. A change of the member list
 * that was begun is finished, since to stop there would be worse; a task that ended is launched in place as ever; and
 * a move that belongs to a roll-out belongs to the plan `update`.
 */
export function isRecoveryHeld(pass: Pass, slot: string): boolean {
  return isPaused(pass.record, 'recovery') && runOfMove(pass, slot) === null;
}
