import { describe, expect, it } from 'vitest';
import { frameworkInfoOf } from '../../src/framework/config.ts';
import { CONFIG } from './fixtures.ts';

describe('what the scheduler registers as', () => {
  it('has a host, which Mesos-DNS publishes, and a web address without a slash at its end', () => {
    const info = frameworkInfoOf({
      ...CONFIG.framework,
      name: '/prod/k8s-a/etcd',
      hostname: '10.0.0.9',
      webuiUrl: 'http://10.0.0.9:23400/',
    });
    expect(info).toMatchObject({
      name: '/prod/k8s-a/etcd',
      hostname: '10.0.0.9',
      webui_url: 'http://10.0.0.9:23400',
    });
  });
});
