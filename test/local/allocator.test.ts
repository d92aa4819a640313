import { describe, expect, it } from 'vitest';
import { allocate, type Bidder, isRefused, type Supply } from '../../src/local/allocator.ts';
import { addResources, type Resources, scalarMilli } from '../../src/local/resources.ts';
import type { Resource } from '../../src/mesos/wire.ts';

const scalar = (name: string, value: number): Resource => ({ name, type: 'SCALAR', scalar: { value } });
const machine: Resources = [scalar('cpus', 4), scalar('mem', 1024)];
const agent = (agentId: string, available: Resources = machine, remote = false): Supply => ({
  agentId,
  remote,
  available,
});
const bidder = (frameworkId: string, role: string, given: Partial<Bidder> = {}): Bidder => ({
  frameworkId,
  role,
  regionAware: false,
  allocated: [],
  refuses: () => false,
  ...given,
});
const clusterOf = (supplies: readonly Supply[]) =>
  supplies.reduce<Resources>((sum, { available }) => addResources(sum, available), []);
const run = (supplies: readonly Supply[], bidders: readonly Bidder[]) =>
  allocate(supplies, bidders, clusterOf(supplies)).map(
    ({ frameworkId, role, agentId, resources }) =>
      `${frameworkId}/${role} ${agentId} ${scalarMilli(resources, 'cpus') / 1000}`,
  );

describe('allocation', () => {
  it('shares agents evenly among roles, and among the frameworks of a role', () => {
    const agents = ['S0', 'S1', 'S2', 'S3'].map((id) => agent(id));
    expect(run(agents, [bidder('f1', 'a'), bidder('f2', 'a'), bidder('f3', 'b')])).toEqual([
      'f1/a S0 4',
      'f3/b S1 4',
      'f2/a S2 4',
      'f3/b S3 4',
    ]);
  });

  it('prefers who has the smaller dominant share of what there is', () => {
    const [rich, poor] = [
      bidder('f1', 'a', { allocated: [scalar('cpus', 1), scalar('mem', 900)] }),
      bidder('f2', 'b', { allocated: [scalar('cpus', 2), scalar('mem', 10)] }),
    ];
    expect(run([agent('S0')], [rich, poor])).toEqual(['f2/b S0 4']);
  });

  it('gives what is reserved to its role and those below it, to nobody else', () => {
    const held: Resource = { ...scalar('cpus', 1), reservations: [{ type: 'STATIC', role: 'a' }] };
    const supply = agent('S0', [held]);
    expect(run([supply], [bidder('f1', 'b'), bidder('f2', 'ab')])).toEqual([]);
    expect(run([supply], [bidder('f1', 'a/web')])).toEqual(['f1/a/web S0 1']);
    expect(run([supply], [bidder('f1', 'b'), bidder('f2', 'a')])).toEqual(['f2/a S0 1']);
  });

  it('makes no offer of next to nothing', () => {
    expect(run([agent('S0', [scalar('cpus', 0.009), scalar('mem', 31)])], [bidder('f', 'a')])).toEqual([]);
    expect(run([agent('S0', [scalar('cpus', 0.01)])], [bidder('f', 'a')])).toEqual(['f/a S0 0.01']);
    expect(run([agent('S0', [scalar('mem', 32)])], [bidder('f', 'a')])).toEqual(['f/a S0 0']);
  });

  it('passes over who has refused, and offers to the next', () => {
    const refuser = bidder('f1', 'a', { refuses: (agentId) => agentId === 'S0' });
    expect(run([agent('S0')], [refuser])).toEqual([]);
    expect(run([agent('S0')], [refuser, bidder('f2', 'b')])).toEqual(['f2/b S0 4']);
  });

  it('offers agents of another region to those only that know of regions', () => {
    const supply = agent('S0', machine, true);
    expect(run([supply], [bidder('f1', 'a')])).toEqual([]);
    expect(run([supply], [bidder('f1', 'a', { regionAware: true })])).toEqual(['f1/a S0 4']);
  });

  it('names the role in every resource of an offer, free ports first, reserved before free', () => {
    const held: Resource = { ...scalar('cpus', 1), reservations: [{ type: 'DYNAMIC', role: 'a' }] };
    const ports: Resource = { name: 'ports', type: 'RANGES', ranges: { range: [{ begin: 1, end: 9 }] } };
    const [allocation] = allocate([agent('S0', [...machine, ports, held])], [bidder('f', 'a')], machine);
    expect(allocation?.resources).toEqual(
      [ports, held, ...machine].map((resource) => ({ ...resource, allocation_info: { role: 'a' } })),
    );
  });

  it('a refusal covers what was refused and less, not what has grown', () => {
    const refusals = [{ resources: machine }];
    expect(isRefused(refusals, [scalar('cpus', 3)])).toBe(true);
    expect(isRefused(refusals, [scalar('cpus', 4.001)])).toBe(false);
    expect(isRefused([], [scalar('cpus', 1)])).toBe(false);
  });
});
