import type { MasterInfo } from '../mesos/wire.ts';
import { type MasterConfig, pidOfMaster } from './master-state.ts';
import { MASTER_CAPABILITIES, MESOS_VERSION } from './mesos-build.ts';

/** A master as its subscribers and its node in ZooKeeper show it. */
export interface LocalMasterInfo extends MasterInfo {
  readonly hostname: string;
  readonly port: number;
  /** As `master@127.0.0.1:5050`. */
  readonly pid: string;
  /** Of IPv4, its bytes as one number. */
  readonly ip: number;
}

export function masterInfo(config: MasterConfig): LocalMasterInfo {
  const { masterId, hostname, ip, port, domain } = config;
  return {
    id: masterId,
    ip: ipv4AsNumber(ip),
    port,
    pid: pidOfMaster(config),
    hostname,
    version: MESOS_VERSION,
    address: { hostname, ip, port },
    ...(domain === null ? {} : { domain }),
    capabilities: MASTER_CAPABILITIES.map((type) => ({ type })),
  };
}

/** As `MasterInfo.ip` has it: the four bytes, the first the lowest. 0 for what is no IPv4 address. */
function ipv4AsNumber(ip: string): number {
  const bytes = ip.split('.').map(Number);
  if (bytes.length !== 4) return 0;
  return bytes.reduceRight((sum, byte) => sum * 256 + byte, 0);
}
