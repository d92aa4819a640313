import * as z from 'zod';
import { type BodyText, jsonOf, readBody } from '../base/body.ts';
import { describeError } from '../base/errors.ts';
import { type HttpRequest, type HttpTransport, HttpTransportError } from '../base/ports.ts';
import { PROTOCOL_VERSION } from '../protocol/launch.ts';
import { memberStatusSchema } from '../protocol/member-status.ts';
import { type Members, MembersError } from '../protocol/members-port.ts';
import { receiptSchema } from '../protocol/orders.ts';

/** A status is some kilobytes. */
const BODY_BYTES_MAX = 1024 * 1024;

/**
 * Supervisors asked over HTTP. How long a question may take is the caller's to say, by its signal.
 * @param understood the newest version of the protocol that whoever asks can read.
 */
export function createMembersHttp(http: HttpTransport, understood = PROTOCOL_VERSION): Members {
  return {
    async status(url, wait, signal) {
      const news = wait === null ? '' : `&after=${wait.after}&waitMs=${Math.round(wait.waitMs)}`;
      const query = `protocol=${understood}${news}`;
      const request = { method: 'GET', url: `${url}/v1/status?${query}`, headers: {}, signal } as const;
      return await ask(http, request, memberStatusSchema);
    },
    async order(url, order, signal) {
      const request = {
        method: 'POST',
        url: `${url}/v1/orders`,
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(order),
        signal,
      } as const;
      return await ask(http, request, receiptSchema);
    },
  };
}

async function ask<T>(http: HttpTransport, request: HttpRequest, schema: z.ZodType<T>): Promise<T> {
  let status: number;
  let body: BodyText;
  try {
    const response = await http.request(request);
    status = response.status;
    body = await readBody(response.body, BODY_BYTES_MAX);
  } catch (error) {
    throw membersErrorOf(request, error);
  }
  const { text, isWhole } = body;
  if (status !== 200) {
    throw new MembersError('malformed', `${request.url} answered ${status}: ${text.slice(0, 200).trim()}`);
  }
  if (!isWhole)
    throw new MembersError('malformed', `${request.url} answered more than ${BODY_BYTES_MAX} bytes`);
  const parsed = schema.safeParse(jsonOf(text));
  if (parsed.success) return parsed.data;
  throw new MembersError('malformed', `${request.url}: ${z.prettifyError(parsed.error)}`);
}

function membersErrorOf(request: HttpRequest, error: unknown): MembersError {
  if (!(error instanceof HttpTransportError)) {
    return new MembersError('unreachable', `${request.url}: ${describeError(error)}`, { cause: error });
  }
  return new MembersError(CODES[error.code], describeError(error), { cause: error });
}

const CODES: Readonly<Record<HttpTransportError['code'], MembersError['code']>> = {
  'connect-failed': 'unreachable',
  untrusted: 'unreachable',
  'connection-lost': 'unreachable',
  malformed: 'malformed',
  aborted: 'aborted',
};
