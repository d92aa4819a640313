import type { LocalMasterInfo } from './master-info.ts';
import type { AgentToMaster, MasterToAgent } from './messages.ts';
import type { Registry } from './registry.ts';

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
  /**
   * To one of several masters: this one leads from now on, and goes on from what was last stored (`null`: nothing
   * was). Saying it again to the leader is harmless.
   */
  | { readonly kind: 'elected'; readonly registry: Registry | null }
  /** To one of several masters: another leads, or nobody does. */
  | { readonly kind: 'leader'; readonly leader: LocalMasterInfo | null }
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
  | { readonly kind: 'send'; readonly link: string; readonly message: MasterToAgent }
  /** One of several masters only. Must be durable before the outputs after it are carried out. */
  | { readonly kind: 'store'; readonly registry: Registry }
  /** The master has lost the leadership: its process ends, nothing is handled after it. */
  | { readonly kind: 'exit'; readonly message: string };
