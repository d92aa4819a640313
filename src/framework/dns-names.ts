/** What DNS makes of a framework's name: Mesos-DNS and the DNS of DC/OS, which agree but for their domains. Pure. */

/** Names that tasks are discovered by. etcd looks for `_etcd-server._tcp` and `_etcd-client._tcp` of a domain. */
export const DISCOVERY = { server: 'etcd-server', client: 'etcd-client' } as const;

/** Where DC/OS balances clients over the members: its name and its port, whatever port a member has. */
const VIP = { name: 'client', port: 2379 } as const;
/** Of Mesos-DNS unless it was configured otherwise. */
const MESOS_DOMAIN = 'mesos';
const VIP_DOMAIN = 'l4lb.thisdcos.directory';
/** RFC 1123. */
const LABEL_LENGTH_MAX = 63;

/** The label of a VIP on a discovery port; one spelling for all members, since it is the key of the VIP. */
export const VIP_LABEL = { key: 'VIP_0', value: `${VIP.name}:${VIP.port}` } as const;

/** What `--discovery-srv` is given: `etcd.mesos` for `etcd`, `prodk8s-aetcd.mesos` for `/prod/k8s-a/etcd`. */
export function discoveryDomainOf(frameworkName: string): string {
  return `${domainOf(frameworkName)}.${MESOS_DOMAIN}`;
}

/** Host and port of the clients' VIP; it is there on DC/OS. */
export function vipOf(frameworkName: string): string {
  return `${VIP.name}.${domainOf(frameworkName)}.${VIP_DOMAIN}:${VIP.port}`;
}

/** Dots part labels; folders do not: their slashes are dropped. */
function domainOf(frameworkName: string): string {
  return frameworkName
    .split('.')
    .map(labelOf)
    .filter((label) => label !== '')
    .join('.');
}

/** Lower case; dots and underscores become dashes, whatever else is no letter or digit is dropped. */
function labelOf(part: string): string {
  const label = part
    .toLowerCase()
    .replaceAll(/[._]/g, '-')
    .replaceAll(/[^a-z0-9-]/g, '')
    .replace(/^-+/, '');
  return label.slice(0, LABEL_LENGTH_MAX).replace(/-+$/, '');
}
