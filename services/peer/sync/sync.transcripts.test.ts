// What rust-, go- and js-libp2p programs asked of a device by sync-pull, and answered: the rust ones with the serde form that
// the `time` crate has by itself. `e2e/interop/record.ts` records.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import type { Entry } from '../history/entry.ts';
import { decodeAnswer, decodeRequest, PULL_PROTOCOLS } from './sync-protocol.ts';

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
const request = { cursor: 0, limit: 1000 };

describe.each(messages)('what $program', (transcript) => {
  test.each(PULL_PROTOCOLS)('said by %s is read as it was meant', async (protocol) => {
    const said = transcript[protocol.split('/').at(-1) ?? ''];
    expect(await decodeRequest(protocol, Buffer.from(said?.request ?? '', 'hex'))).toEqual(request);
    expect(await decodeAnswer(protocol, Buffer.from(said?.answer ?? '', 'hex'), request)).toEqual({
      entries,
      nextCursor: entries.length,
    });
  });
});
