import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { expect, test } from 'vitest';
import type { Order } from '../../src/protocol/orders.ts';
import {
  createOrderKey,
  openOrder,
  parseOrderKey,
  parsePublicOrderKey,
  signOrder,
} from '../../src/protocol/signature.ts';

const order: Order = {
  id: 'order-1',
  cluster: 'cluster-1',
  task: 'etcd-0__a',
  epoch: 1,
  attempt: 1,
  generation: 3,
  counter: 7,
  kind: 'prepare',
  args: { token: 'token-1' },
};

test('an order comes out as it went in, through the key file and the launch’s public key', () => {
  const { pem } = createOrderKey();
  const key = parseOrderKey(pem);
  expect(openOrder(signOrder(order, key), parsePublicOrderKey(key.publicKey))).toEqual({ order });
});

test('any changed byte, another key, or no signature is a bad signature', () => {
  const { key } = createOrderKey();
  const publicKey = parsePublicOrderKey(key.publicKey);
  const signed = signOrder(order, key);
  const changed = { ...signed, order: signed.order.replace('"generation":3', '"generation":4') };
  expect(openOrder(changed, publicKey)).toMatchObject({ problem: 'bad-signature' });
  expect(openOrder({ ...signed, signature: '' }, publicKey)).toMatchObject({ problem: 'bad-signature' });
  expect(openOrder({ ...signed, signature: '%%%' }, publicKey)).toMatchObject({ problem: 'bad-signature' });
  const other = parsePublicOrderKey(createOrderKey().key.publicKey);
  expect(openOrder(signed, other)).toMatchObject({ problem: 'bad-signature' });
});

test('what is signed and still no order is malformed, with the field named', () => {
  const { key } = createOrderKey();
  const publicKey = parsePublicOrderKey(key.publicKey);
  const signed = (text: string) => signText(text, key.privateKey);
  expect(openOrder(signed('not json'), publicKey)).toMatchObject({ problem: 'malformed' });
  const opened = openOrder(signed(JSON.stringify({ ...order, counter: 0 })), publicKey);
  expect(opened).toMatchObject({ problem: 'malformed', message: expect.stringContaining('counter') });
  const unknownKind = openOrder(signed(JSON.stringify({ ...order, kind: 'explode' })), publicKey);
  expect(unknownKind).toMatchObject({ problem: 'malformed' });
});

test('unknown fields of an envelope are tolerated', () => {
  const { key } = createOrderKey();
  const text = JSON.stringify({ ...order, newField: 1 });
  const opened = openOrder(signText(text, key.privateKey), parsePublicOrderKey(key.publicKey));
  expect(opened).toEqual({ order });
});

test('keys of other kinds and garbage are refused by name', () => {
  const rsa = generateKeyPairSync('rsa', { modulusLength: 1024 });
  const rsaPem = rsa.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  expect(() => parseOrderKey(rsaPem)).toThrow('type rsa');
  expect(() => parseOrderKey('garbage')).toThrow('not a private key in PEM');
  expect(() => parsePublicOrderKey('garbage')).toThrow('SPKI DER');
  const rsaPublic = rsa.publicKey.export({ type: 'spki', format: 'der' }).toString('base64');
  expect(() => parsePublicOrderKey(rsaPublic)).toThrow('not an ed25519 key');
});

function signText(text: string, privateKey: KeyObject) {
  return { order: text, signature: sign(null, Buffer.from(text), privateKey).toString('base64') };
}
