import type { Attribute, DomainInfo, Resource } from '../mesos/wire.ts';

/** An agent's machine as its operator states it. */
export interface AgentMachineSize {
  readonly cpus: number;
  readonly memMb: number;
  readonly diskMb: number;
  readonly ports: readonly [begin: number, end: number];
}

/** The resources that such an agent offers, in the order in which a Mesos agent names them. */
export function agentResources(size: AgentMachineSize): readonly Resource[] {
  const scalar = (name: string, value: number): Resource => ({ name, type: 'SCALAR', scalar: { value } });
  const [begin, end] = size.ports;
  return [
    { name: 'ports', type: 'RANGES', ranges: { range: [{ begin, end }] } },
    scalar('cpus', size.cpus),
    scalar('mem', size.memMb),
    scalar('disk', size.diskMb),
  ];
}

export function textAttribute(name: string, value: string): Attribute {
  return { name, type: 'TEXT', text: { value } };
}

/** All of this machine is one region. */
export function localDomain(zone: string): DomainInfo {
  return { fault_domain: { region: { name: 'local' }, zone: { name: zone } } };
}
