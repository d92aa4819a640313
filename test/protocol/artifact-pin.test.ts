import { expect, test } from 'vitest';
import {
  type ArtifactPin,
  describeArtifact,
  isSameArtifact,
  readPin,
  sha256Of,
  tarballId,
  writePin,
} from '../../src/protocol/artifact-pin.ts';

const SUM = 'ab'.repeat(32);
const checkout = (etcdBinary: string, etcd: string): string =>
  writePin({
    id: 'checkout:1.0.0-abc',
    etcd,
    source: { from: 'checkout', node: '/n', entry: '/e e', etcdBinary },
  });
const tarball = (uri: string): ArtifactPin => ({
  id: tarballId(SUM),
  etcd: '3.5.30',
  source: { from: 'uri', uri },
});

test('what is written is read again', () => {
  for (const pin of [tarball('https://x/a b.tar.gz'), readPin(checkout('/usr/bin/etcd', '3.4.23'))]) {
    expect(readPin(writePin(pin))).toEqual(pin);
  }
  expect(sha256Of(tarball('x'))).toBe(SUM);
});

test('of the names that earlier and later releases write the id is known', () => {
  for (const text of [`sha256:${SUM}`, `sha256:${SUM} {"source":{"from":"elsewhere"}}`, `sha256:${SUM} {`]) {
    expect(readPin(text)).toEqual({ id: `sha256:${SUM}`, etcd: null, source: null });
  }
  expect(writePin(readPin('checkout:1.0.0-abc'))).toBe('checkout:1.0.0-abc');
});

test('a tarball is the same wherever it comes from, a checkout with another etcd is another', () => {
  expect(isSameArtifact(writePin(tarball('a')), writePin(tarball('b')))).toBe(true);
  expect(isSameArtifact(writePin(tarball('a')), `sha256:${SUM}`)).toBe(true);
  expect(isSameArtifact(writePin(tarball('a')), tarballId('cd'.repeat(32)))).toBe(false);
  expect(isSameArtifact(checkout('/a/etcd', '3.4.23'), checkout('/a/etcd', '3.4.23'))).toBe(true);
  expect(isSameArtifact(checkout('/a/etcd', '3.4.23'), checkout('/b/etcd', '3.4.23'))).toBe(false);
  expect(isSameArtifact(checkout('/a/etcd', '3.4.23'), checkout('/a/etcd', '3.5.30'))).toBe(false);
  expect(isSameArtifact(checkout('/a/etcd', '3.4.23'), 'checkout:1.0.0-abc')).toBe(true);
});

test('people are told the version and enough of the name', () => {
  expect(describeArtifact(writePin(tarball('a')))).toBe('etcd 3.5.30 (sha256:abababababab)');
  expect(describeArtifact('checkout:1.0.0-abc')).toBe('checkout:1.0.0-abc');
});
