/** What time it is, handed to the machines with every input: they ask no clock themselves. */
export interface Instant {
  /** Milliseconds since an unspecified start, never goes back: timers. */
  readonly monotonicMs: number;
  /** Milliseconds since 1970: time stamps that people and clients see. */
  readonly wallMs: number;
}
