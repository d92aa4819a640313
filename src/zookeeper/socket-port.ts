/** The seam to TCP. */
export interface Sockets {
  /** Resolves when connected. Rejects when that fails or `signal` aborts. */
  connect(address: ServerAddress, signal: AbortSignal): Promise<Socket>;
}
export interface ServerAddress {
  readonly host: string;
  readonly port: number;
}
export interface Socket {
  /** Read once. Ends when the other side is done; throws when the connection breaks or is closed. */
  readonly incoming: AsyncIterable<Uint8Array>;
  /** Takes the bytes over at once; who writes bounds what is on its way. */
  write(bytes: Uint8Array): void;
  /** At once and for good. Safe to repeat. */
  close(): void;
}
