import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto';
import * as z from 'zod';
import { CodedError } from '../base/errors.ts';
import { type Order, orderSchema, type SignedOrder } from './orders.ts';

/**
 * Signing and opening orders. The key belongs to the schedulers alone: a launch carries only its public half,
 * since a task's environment can be read by anyone. The signature is Ed25519 over the UTF-8 bytes of
 * {@link SignedOrder.order} as they travel, so nothing has to be serialized the same way twice.
 */
export interface OrderKey {
  readonly privateKey: KeyObject;
  /** Base64 of the SPKI DER form: what {@link openOrder} and a launch's `schedulerKey` take. */
  readonly publicKey: string;
}

/** A fresh key and its file: PKCS #8 in PEM, to be kept readable by its owner only. */
export function createOrderKey(): { readonly key: OrderKey; readonly pem: string } {
  const { privateKey } = generateKeyPairSync('ed25519');
  return { key: keyOf(privateKey), pem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString() };
}

/** Reads a key file. Throws an {@link OrderKeyError} where it is not an unencrypted Ed25519 private key in PEM. */
export function parseOrderKey(pem: string): OrderKey {
  let privateKey: KeyObject;
  try {
    privateKey = createPrivateKey({ key: pem, format: 'pem' });
  } catch (cause) {
    throw new OrderKeyError('malformed', 'the order key file is not a private key in PEM', {
      cause,
      hint: 'Make one with: openssl genpkey -algorithm ed25519',
    });
  }
  if (privateKey.asymmetricKeyType !== 'ed25519') {
    throw new OrderKeyError(
      'malformed',
      `the order key is of type ${privateKey.asymmetricKeyType}, only ed25519 is accepted`,
      { hint: 'Make one with: openssl genpkey -algorithm ed25519' },
    );
  }
  return keyOf(privateKey);
}

/** Reads the public half as a launch carries it. Throws an {@link OrderKeyError}. */
export function parsePublicOrderKey(publicKey: string): KeyObject {
  try {
    const key = createPublicKey({ key: Buffer.from(publicKey, 'base64'), format: 'der', type: 'spki' });
    if (key.asymmetricKeyType === 'ed25519') return key;
  } catch (cause) {
    throw new OrderKeyError('malformed', 'the schedulers’ public key is not base64 of an SPKI DER key', {
      cause,
    });
  }
  throw new OrderKeyError('malformed', 'the schedulers’ public key is not an ed25519 key');
}

/** Checks the order against its schema (a wrong one is our own bug and throws) and signs it. */
export function signOrder(order: Order, key: OrderKey): SignedOrder {
  const text = JSON.stringify(orderSchema.parse(order));
  return { order: text, signature: sign(null, Buffer.from(text, 'utf8'), key.privateKey).toString('base64') };
}

/** What an order turned out to be, the signature looked at before anything in it is. */
export type OpenedOrder =
  | { readonly order: Order }
  | { readonly problem: 'bad-signature' | 'malformed'; readonly message: string };

/** @param publicKey from {@link parsePublicOrderKey}. Never throws, whatever was sent. */
export function openOrder(signed: SignedOrder, publicKey: KeyObject): OpenedOrder {
  const signature = Buffer.from(signed.signature, 'base64');
  if (!verify(null, Buffer.from(signed.order, 'utf8'), publicKey, signature)) {
    return { problem: 'bad-signature', message: 'the order is not signed by this cluster’s schedulers' };
  }
  let json: unknown;
  try {
    json = JSON.parse(signed.order);
  } catch {
    return { problem: 'malformed', message: 'the order is not JSON' };
  }
  const parsed = orderSchema.safeParse(json);
  if (parsed.success) return { order: parsed.data };
  return { problem: 'malformed', message: `the order is malformed: ${z.prettifyError(parsed.error)}` };
}

/** A key for orders that is none. */
export class OrderKeyError extends CodedError<'malformed'> {}

function keyOf(privateKey: KeyObject): OrderKey {
  const publicKey = createPublicKey(privateKey).export({ type: 'spki', format: 'der' }).toString('base64');
  return { privateKey, publicKey };
}
