import { type DestinationStream, destination, type Logger as PinoLogger, pino } from 'pino';
import { describeError } from '../base/errors.ts';
import type { LogFields, Logger } from '../base/ports.ts';

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Keys whose values never reach a log, at the top of a line's fields or one below. */
const SECRET_KEYS = ['token', 'authorization', 'password', 'secret', 'privateKey', 'private_key'] as const;

/**
 * The {@link Logger} of every role: one JSON object a line with the keys `time` (ISO 8601), `level` (its name)
 * and `event`, then the fields. Lines are written before the call returns, so the last words of a process that
 * dies are on disk.
 * @param options.stream where lines go; default stdout.
 */
export function createLogger(options: { level: LogLevel; stream?: DestinationStream }): Logger {
  const settings = {
    level: options.level,
    base: null,
    messageKey: 'event',
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    formatters: { level: (label: string) => ({ level: label }) },
    redact: { paths: SECRET_KEYS.flatMap((key) => [key, `*.${key}`]), censor: '[redacted]' },
  };
  return wrap(pino(settings, options.stream ?? destination({ dest: 1, sync: true })));
}

function wrap(logger: PinoLogger): Logger {
  return {
    debug: (event, fields) => logger.debug(plain(fields), event),
    info: (event, fields) => logger.info(plain(fields), event),
    warn: (event, fields) => logger.warn(plain(fields), event),
    error: (event, fields) => logger.error(plain(fields), event),
    child: (fields) => wrap(logger.child(plain(fields))),
  };
}

/** Errors become one line of text and their code; what JSON cannot carry (a BigInt) becomes text. */
function plain(fields: LogFields = {}): Record<string, unknown> {
  const result: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(fields)) {
    if (value instanceof Error) {
      result[key] = describeError(value);
      if ('code' in value) result[`${key}Code`] = value.code;
    } else {
      result[key] = typeof value === 'bigint' ? value.toString() : value;
    }
  }
  return result;
}
