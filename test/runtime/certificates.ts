import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const EC = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'] as const;

/** A CA that exists for one test, and a server's certificate that it signed. Needs openssl. */
export interface Certificates {
  readonly caFile: string;
  readonly ca: string;
  readonly key: string;
  readonly certificate: string;
  remove(): Promise<void>;
}

/** @param name the certificate's only subject alternative name, as `IP:127.0.0.1`. */
export async function makeCertificates(name: string): Promise<Certificates> {
  const directory = await mkdtemp(path.join(tmpdir(), 'certificates-'));
  const at = (file: string): string => path.join(directory, file);
  const openssl = async (...args: readonly string[]): Promise<void> => {
    await run('openssl', args, { cwd: directory });
  };
  const ca = ['-keyout', 'ca.key', '-out', 'ca.crt', '-days', '2', '-subj', '/CN=a test'];
  await openssl('req', '-x509', ...EC, ...ca);
  await openssl('req', ...EC, '-keyout', 'server.key', '-out', 'server.csr', '-subj', '/CN=a server');
  await writeFile(at('names'), `subjectAltName=${name}\n`);
  const signed = ['-CA', 'ca.crt', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '2', '-extfile', 'names'];
  await openssl('x509', '-req', '-in', 'server.csr', ...signed, '-out', 'server.crt');
  return {
    caFile: at('ca.crt'),
    ca: await readFile(at('ca.crt'), 'utf8'),
    key: await readFile(at('server.key'), 'utf8'),
    certificate: await readFile(at('server.crt'), 'utf8'),
    remove: async () => await rm(directory, { recursive: true }),
  };
}
