// Decodes sync-pull messages that rust-, go- and js-libp2p programs sent, recorded by `e2e/interop/record.ts`. The rust
// program uses the default serde format of the `time` crate.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import type { Entry } from '../history/entry.ts';
import { decodeResponse, decodeRequest, PULL_PROTOCOLS } from './sync-protocol.ts';

interface Message {
  readonly request: string;
  readonly answer: string;
}

interface Transcripts {
  readonly entries: readonly Entry[];
  readonly messages: ReadonlyArray<{ readonly program: string } & Record<string, Message>>;
}

const path = join(import.meta.dirname, 'sync.transcripts.json');
const { entries, messages } = JSON.parse(readFileSync(path, 'utf8')) as Transcripts;
const request = { cursor: 0, deleteCursor: undefined, limit: 1000 };

describe.each(messages)('the messages of $program', (transcript) => {
  test.each(PULL_PROTOCOLS)('are decoded by %s', async (protocol) => {
    const recorded = transcript[protocol.split('/').at(-1) ?? ''];
    expect(await decodeRequest(protocol, Buffer.from(recorded?.request ?? '', 'hex'))).toEqual(request);
    expect(await decodeResponse(protocol, Buffer.from(recorded?.answer ?? '', 'hex'), request)).toEqual({
      entries,
      ids: entries.map(({ entry_id: id }) => id),
      nextCursor: entries.length,
      deletions: [],
      invalid: [],
    });
  });
});
