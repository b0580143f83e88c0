// JSON logs, one object per line: fields instead of sentences, and no tokens or keys.
import { type DestinationStream, type Logger, pino, stdTimeFunctions } from 'pino';
import { escapeUnsafe } from './printable.ts';

export type { Logger } from 'pino';

/** Paths of fields that are redacted in every log entry. */
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
 * Creates the logger of one program.
 *
 * @param fd file descriptor to write to: 1 for a service, 2 for a command that prints its result on standard output
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
    createDestination(fd),
  );
}

/** A terminal shows the logs of a service in the foreground, and they contain text from other devices. */
function createDestination(fd: 1 | 2): DestinationStream {
  const file = pino.destination({ fd, sync: true });
  return { write: (line) => void file.write(escapeUnsafe(line)) };
}
