import type { AgentToMaster, MasterToAgent } from './messages.ts';

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
