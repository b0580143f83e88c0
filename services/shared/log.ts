// JSON logs on standard output, one object a line: fields, not sentences; never a token or a key.
import { type Logger, pino, stdTimeFunctions } from 'pino';

export type { Logger } from 'pino';

/** The parts of an object that never reach a log, whoever logs it. */
const REDACTED = [
  'token',
  'authorization',
  'password',
  'psk',
  'seed',
  'privateKey',
  '*.token',
  '*.authorization',
  '*.password',
];

/**
 * The logger of one service.
 *
 * @param fd file descriptor to write to: 1 for a service, 2 for a command whose standard output is its result.
 */
export function createLogger(service: string, level: string, fd: 1 | 2 = 1): Logger {
  return pino(
    {
      level,
      base: { service },
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: REDACTED, censor: '[redacted]' },
    },
    pino.destination({ fd, sync: true }),
  );
}
