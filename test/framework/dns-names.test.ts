import { describe, expect, it } from 'vitest';
import { discoveryDomainOf, VIP_LABEL, vipOf } from '../../src/framework/dns-names.ts';

/** What Mesos-DNS and the DNS of DC/OS make of these names. */
const NAMES = [
  ['etcd', 'etcd'],
  ['Etcd_Prod', 'etcd-prod'],
  ['/prod/k8s-a/etcd', 'prodk8s-aetcd'],
  ['/dev/team.one/etcd', 'devteam.oneetcd'],
  ['a..b', 'a.b'],
  ['-etcd-', 'etcd'],
  ['e'.repeat(70), 'e'.repeat(63)],
] as const;

describe('the domain of a framework', () => {
  it.each(NAMES)('%s is found under %s', (name, domain) => {
    expect(discoveryDomainOf(name)).toBe(`${domain}.mesos`);
    expect(vipOf(name)).toBe(`client.${domain}.l4lb.thisdcos.directory:2379`);
  });

  it('has a VIP that is spelled as its label', () => {
    const [name = '', port = ''] = VIP_LABEL.value.split(':');
    expect(vipOf('etcd')).toBe(`${name}.etcd.l4lb.thisdcos.directory:${port}`);
  });
});
