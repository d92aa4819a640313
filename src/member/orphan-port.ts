import { CodedError } from '../base/errors.ts';

/** Finding and ending what an earlier supervisor of this member left running. */
export interface Orphans {
  /**
   * Kills, and awaits the end of, every process that is ours and still holds this member's volume or ports: its
   * old supervisors first. What is not ours is left alone and told.
   * Rejects with an {@link OrphanError} when one does not end.
   */
  sweep(signal: AbortSignal): Promise<SweepReport>;
}
export interface SweepReport {
  readonly killed: readonly FoundProcess[];
  /** Who holds a port of ours and is none of us. */
  readonly foreign: readonly PortHolder[];
}
export interface FoundProcess {
  readonly pid: number;
  readonly command: string;
}
export interface PortHolder {
  readonly port: number;
  /** `null` where the system does not tell: another user's process. */
  readonly process: FoundProcess | null;
}

/** A process of an earlier supervisor holds on to what this one needs. */
export class OrphanError extends CodedError<'still-alive' | 'unsupported'> {}

export function describeHolder(holder: PortHolder): string {
  const who =
    holder.process === null
      ? 'another user’s process'
      : `pid ${holder.process.pid} (${holder.process.command})`;
  return `port ${holder.port} is held by ${who}`;
}
