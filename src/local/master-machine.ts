import type { Ids } from '../base/ports.ts';
import type { Instant } from './instant.ts';
import type { AgentToMaster, MasterToAgent } from './messages.ts';

/**
 * The master of the local Mesos as a machine without I/O: it is told what happens and answers with what is to be
 * done, in order. Served over a socket for use, called in memory by the simulation.
 */
export interface MasterMachine {
  /** Takes one input; the outputs are to be carried out in their order. */
  handle(input: MasterInput, now: Instant): readonly MasterOutput[];
  /** Monotonic time at which a `tick` is due even if nothing happens. */
  nextWakeMs(): number;
}

export interface MasterMachineOptions {
  /** Makes the master's id, stream ids and uuids. */
  readonly ids: Ids;
  readonly hostname: string;
  readonly ip: string;
  readonly port: number;
  /** When the master started. */
  readonly startedAt: Instant;
  /** Milliseconds between two allocations. Default 200. */
  readonly allocationIntervalMs?: number;
  /** Milliseconds that an agent has to answer a ping. Default 1000. */
  readonly agentPingTimeoutMs?: number;
  /** So many pings in a row without an answer and the agent is unreachable. Default 3. */
  readonly agentPingTimeoutsMax?: number;
}

export type MasterInput =
  /** A whole HTTP request. `exchange` is the caller's name for it, never used twice. */
  | {
      readonly kind: 'request';
      readonly exchange: string;
      readonly method: string;
      /** With its query, as in the request line. */
      readonly path: string;
      /** Lower-case names. */
      readonly headers: Readonly<Record<string, string>>;
      readonly body: string;
    }
  /** The client of an event stream went away. */
  | { readonly kind: 'stream-closed'; readonly exchange: string }
  /** `link` is the caller's name for the connection of an agent; a new connection has a new name. */
  | { readonly kind: 'agent-message'; readonly link: string; readonly message: AgentToMaster }
  | { readonly kind: 'agent-link-lost'; readonly link: string }
  | { readonly kind: 'tick' };

export type MasterOutput =
  /** The whole answer to a request. */
  | {
      readonly kind: 'respond';
      readonly exchange: string;
      readonly status: number;
      /** Lower-case names. */
      readonly headers: Readonly<Record<string, string>>;
      readonly body: string;
    }
  /** The head of an answer whose body is a RecordIO stream that stays open. */
  | {
      readonly kind: 'open-stream';
      readonly exchange: string;
      readonly status: number;
      readonly headers: Readonly<Record<string, string>>;
    }
  /** One record of an open stream: JSON text, to be framed as RecordIO. */
  | { readonly kind: 'record'; readonly exchange: string; readonly json: string }
  | { readonly kind: 'close-stream'; readonly exchange: string }
  | { readonly kind: 'send'; readonly link: string; readonly message: MasterToAgent };

export declare function createMasterMachine(options: MasterMachineOptions): MasterMachine;
