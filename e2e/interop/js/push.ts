// entries-push in both roles: the command `push`, and what `serve` answers.
import { readFileSync } from 'node:fs';
import type { Connection, Stream } from '@libp2p/interface';
import { type Fields, fromWire, readEntries, toWire } from './entries.ts';
import {
  allowed,
  MAX_DECOMPRESSION_FACTOR,
  PUSH_PROTOCOLS,
  readMessage,
  writeBytes,
  writeMessage,
  writeText,
} from './exchange.ts';
import { type Options, print } from './options.ts';

const MAX_PUSH_BYTES = 16 * 1024 * 1024;
const MAX_ANSWER_BYTES = 64 * 1024;

/** Default of `--limit`: maximum entries per request. */
const DEFAULT_LIMIT = 1000;

const COUNTS = ['inserted', 'ignored', 'deletion_inserted', 'deletion_deleted'];

const NO_MESSAGE = Buffer.from('no message');

/** What is sent need not be valid. */
interface PushRequest {
  readonly entries: readonly unknown[];
  readonly deletions?: readonly unknown[];
}

/** Pushes the entries and deletions of files. Deletions are in the first request. */
export async function push(connection: Connection, options: Options): Promise<void> {
  const limit = Number(options.optional('limit') ?? DEFAULT_LIMIT);
  const entries = readEntries(options.optional('entries')).map(toWire);
  const path = options.optional('deletions');
  const deletions = path === undefined ? [] : (JSON.parse(readFileSync(path, 'utf8')) as unknown[]);
  const totals = Object.fromEntries(COUNTS.map((name) => [name, 0]));
  let protocol = '';
  for (let first = 0; first === 0 || first < entries.length; first += limit) {
    const stream = await connection.newStream(allowed(PUSH_PROTOCOLS, options.optional('version')), {
      runOnLimitedConnection: true,
    });
    ({ protocol } = stream);
    const request = {
      entries: entries.slice(first, first + limit),
      ...(first === 0 && deletions.length > 0 ? { deletions } : {}),
    };
    await writePush(stream, request, options.optional('bad'));
    const answer = (await readMessage(stream, MAX_ANSWER_BYTES)) as Record<string, unknown>;
    if (answer['ok'] !== true) throw new Error('The push was refused.');
    // Counts may be null or absent.
    for (const name of COUNTS) totals[name] = Number(totals[name]) + Number(answer[name] ?? 0);
  }
  print('pushed', { protocol, ...totals });
}

/** Writes a request, or the bad one that `--bad` names. */
async function writePush(stream: Stream, request: PushRequest, bad: string | undefined): Promise<void> {
  const text = JSON.stringify(request);
  switch (bad) {
    case undefined:
      return writeText(stream, text);
    case 'items': {
      const entries = [...request.entries, { entry_id: 7 }, null, 'an entry'];
      const deletions = [...(request.deletions ?? []), { entry_id: 'gone', deleted_at: 'yesterday' }];
      return writeMessage(stream, { entries, deletions });
    }
    case 'garbage':
      return writeBytes(stream, NO_MESSAGE);
    case 'cut':
      return writeText(stream, text.slice(0, text.length / 2));
    case 'large':
      return writeBytes(stream, Buffer.alloc(MAX_PUSH_BYTES + 1, ' '));
    case 'bomb':
      return writeText(stream, ' '.repeat(MAX_PUSH_BYTES * MAX_DECOMPRESSION_FACTOR + 1));
    default:
      throw new Error(`Unknown value "${bad}" of --bad.`);
  }
}

let answered = 0;

/** The kind of answer of the next push. `--answer` names those of the first pushes; the last one repeats. */
function nextAnswer(options: Options): string {
  const kinds = (options.optional('answer') ?? 'counts').split(',');
  answered += 1;
  return kinds[Math.min(answered, kinds.length) - 1] ?? '';
}

/** Prints one push and answers it as `--answer` says. Nothing is stored, so everything counts as new. */
export async function respondToPush(stream: Stream, options: Options): Promise<void> {
  const { entries, deletions = [] } = (await readMessage(stream, MAX_PUSH_BYTES)) as {
    entries: Fields[];
    deletions?: unknown[];
  };
  for (const entry of entries) print('entry', { entry: fromWire(entry) });
  for (const deletion of deletions) print('deletion', { deletion });
  print('took', { protocol: stream.protocol, entries: entries.length, deletions: deletions.length });
  const counts = { inserted: entries.length, ignored: 0 };
  const ofDeletions = {
    deletion_inserted: deletions.length,
    deletion_ignored: 0,
    deletion_deleted: 0,
  };
  const kind = nextAnswer(options);
  if (kind === 'counts') await writeMessage(stream, { ok: true, ...counts, ...ofDeletions });
  else if (kind === 'nulls') await writeMessage(stream, { ok: true, inserted: null, ignored: null });
  else if (kind === 'bare') await writeMessage(stream, { ok: true });
  else if (kind === 'refuse') await writeMessage(stream, { ok: false, inserted: null, ignored: null });
  else if (kind === 'garbage') await writeBytes(stream, NO_MESSAGE);
  else if (kind === 'close') await stream.close();
  else throw new Error(`Unknown value "${kind}" of --answer.`);
}
