/**
 * How a member's task shares its memory, so that the kernel need not end it for having more: bounds that the
 * programs keep themselves. What neither takes caches the pages of the database.
 */
export interface MemoryShares {
  /** JavaScript heap of the supervisor, in MiB, as Node.js takes it. */
  readonly supervisorHeapMb: number;
  /** What Go's collector holds etcd's own memory under, in MiB; the mapped database is not in it. */
  readonly etcdMb: number;
}

/** The supervisor's heap and all that Node.js has beside it. */
const SUPERVISOR_MB = 128;
const SUPERVISOR_HEAP_MB = 64;
/** Of the rest, what is left to pages that cannot be dropped at once: those being written, stacks, sockets. */
const ETCD_PART = 0.9;
/** Less makes the collector run all the time; the rules of the options see to more. */
const ETCD_MB_MIN = 64;

export function memorySharesOf(memMb: number): MemoryShares {
  const etcdMb = Math.max(ETCD_MB_MIN, Math.floor((memMb - SUPERVISOR_MB) * ETCD_PART));
  return { supervisorHeapMb: SUPERVISOR_HEAP_MB, etcdMb };
}
