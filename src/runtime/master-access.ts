import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { describeError } from '../base/errors.ts';
import type { Clock, HttpTransport } from '../base/ports.ts';
import { basicHeaders, type MasterHeaders } from '../mesos/credentials.ts';
import { createIamHeaders } from '../mesos/iam-login.ts';
import { parseServiceAccount, type ServiceAccount } from '../mesos/service-account.ts';
import { OptionsError } from '../protocol/option-sources.ts';
import type { SchedulerOptions } from '../protocol/options.ts';
import { readSecret, readSecretText } from './secret-file.ts';
import { StartError } from './start-error.ts';

/** As whom the scheduler comes to the masters, and by which certificates it knows them. */
export interface MasterAccess {
  readonly principal: string;
  /** Certificates of CAs, PEM, that are trusted beside those of the system; `null`: no others. */
  readonly ca: string | null;
  /** `undefined` where no credentials are given. */
  headers(ports: { readonly transport: HttpTransport; readonly clock: Clock }): MasterHeaders | undefined;
}

type AccessOptions = Pick<SchedulerOptions, 'principal' | 'secretFile' | 'serviceAccount' | 'masterCaFile'>;

/**
 * Reads what the options name. Throws a {@link StartError}, a `ServiceAccountError`, or an `OptionsError` where the
 * principal is not the service account.
 * @param sandbox where a relative path of DC/OS begins, beside the working directory.
 */
export async function openMasterAccess(
  options: AccessOptions,
  sandbox: string | undefined,
): Promise<MasterAccess> {
  const ca = options.masterCaFile === null ? null : await readCa(options.masterCaFile);
  if (options.serviceAccount !== null) {
    const account = parseServiceAccount(await credentialsOf(options.serviceAccount, sandbox));
    return {
      principal: samePrincipal(options.principal, account),
      ca,
      headers: ({ transport, clock }) => createIamHeaders({ transport, clock, account }),
    };
  }
  const principal = options.principal ?? '';
  const secret = options.secretFile === null ? null : await readSecret('--secret-file', options.secretFile);
  return {
    principal,
    ca,
    headers: () => (secret === null ? undefined : basicHeaders(principal, secret)),
  };
}

/** The variable of DC/OS holds the secret itself or says where it is mounted. */
async function credentialsOf(given: string, sandbox: string | undefined): Promise<string> {
  if (given.trimStart().startsWith('{')) return given;
  const option = '--service-account-file';
  if (sandbox === undefined || path.isAbsolute(given)) return await readSecretText(option, given);
  try {
    return await readFile(given, 'utf8');
  } catch {
    // A task in an image of its own begins elsewhere than in its sandbox.
    return await readSecretText(option, path.join(sandbox, given));
  }
}

/** Mesos refuses a framework whose principal is not the one that has authenticated. */
function samePrincipal(principal: string | null, { uid }: ServiceAccount): string {
  if (principal === null || principal === uid) return uid;
  throw new OptionsError([
    {
      code: 'contradiction',
      where: '--principal',
      message: `--principal is "${principal}", the service account is "${uid}"; they must be the same`,
      hint: 'Leave --principal out: with a service account it is the account’s name.',
    },
  ]);
}

async function readCa(file: string): Promise<string> {
  try {
    const pem = await readFile(file, 'utf8');
    const certificates = pem.match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g) ?? [];
    if (certificates.length === 0) throw new Error('it holds no certificate in PEM');
    for (const certificate of certificates) new X509Certificate(certificate);
    return pem;
  } catch (cause) {
    throw new StartError(
      'ca-unusable',
      `the file of --master-ca-file, ${file}, cannot be used: ${describeError(cause)}`,
      {
        cause,
        hint: 'It must hold the certificate of the CA that signed the masters’ certificates, in PEM; several may follow each other.',
      },
    );
  }
}
