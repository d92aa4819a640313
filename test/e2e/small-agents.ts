import type { LocalClusterOptions } from '../../src/local/local-cluster.ts';

/** Agents with room for a member each, and for what a member that moves there needs. */
export function smallAgents(hostnames: readonly string[]): LocalClusterOptions['agents'] {
  return hostnames.map((hostname) => ({ hostname, cpus: 1, memMb: 1024, diskMb: 4096 }));
}

/** `agent-1`, `agent-2` and so on. */
export function agentNames(count: number, domain = ''): readonly string[] {
  return Array.from({ length: count }, (_, at) => `agent-${at + 1}${domain}`);
}
