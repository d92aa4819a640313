import { MesosError } from './errors.ts';

/** What an answer other than success means, by its status. `body` is what the server said, for people. */
export function refusalOf(base: string, status: number, body: string): MesosError {
  const said = body.trim() === '' ? '' : `: ${oneLine(body)}`;
  const message = `${base} answers ${status}${said}`;
  switch (status) {
    case 400:
      return new MesosError('bad-call', message);
    case 401:
      return new MesosError('refused-unauthenticated', message, {
        hint: 'The master asks for credentials, and none or wrong ones were given.',
      });
    case 403:
      return new MesosError('refused-forbidden', message, {
        hint: 'The credentials are right, but the master’s ACLs do not allow this.',
      });
    case 500:
    case 502:
    case 503:
    case 504:
      return new MesosError('no-master', message, {
        hint: 'The master is starting, recovering or without a leader; this usually ends by itself.',
      });
    default:
      return new MesosError('not-mesos', `${message}, which no Mesos master does`, {
        hint: 'Check that the address is that of a Mesos master (its default port is 5050).',
      });
  }
}

/** Characters of a server's words that a message shows. */
const SHOWN_CHARS_MAX = 1000;

function oneLine(body: string): string {
  const line = body.trim().replaceAll(/\s+/g, ' ');
  return line.length > SHOWN_CHARS_MAX ? `${line.slice(0, SHOWN_CHARS_MAX)}…` : line;
}
