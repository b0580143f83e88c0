// One request and its answer: to learn what a server sends, before the load.
import { connect } from 'node:net';
import { AnswerReader } from './answer-reader.ts';

export interface Exchange {
  readonly status: number;
  /** The lines of the head after the first one, as they were sent. */
  readonly headers: ReadonlyArray<readonly [name: string, value: string]>;
  readonly body: Buffer;
}

/** Maximum time of an exchange, in milliseconds. */
const MAX_EXCHANGE_MS = 10_000;

/** @throws Error when there is no complete answer */
export async function exchange(port: number, request: Buffer): Promise<Exchange> {
  const reader = new AnswerReader({
    status: undefined,
    probable: { bytes: Buffer.alloc(0), reflects: 0 },
    check: (body) => ({ bytes: Buffer.from(body), reflects: 0 }),
  });
  const socket = connect({ host: '127.0.0.1', port, noDelay: true });
  socket.setTimeout(MAX_EXCHANGE_MS, () =>
    socket.destroy(new Error(`There was no answer within ${MAX_EXCHANGE_MS} ms.`)),
  );
  socket.write(request);
  for await (const part of socket) {
    if (!reader.read(part as Buffer, (part as Buffer).length)) continue;
    const [first = '', ...lines] = reader.head.trimEnd().split('\r\n');
    const headers = lines.map((line) => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon), line.slice(colon + 1).trim()] as const;
    });
    return { status: Number(first.split(' ')[1]), headers, body: reader.body.bytes };
  }
  throw new Error('The connection was closed before the end of an answer.');
}

export function headerOf({ headers }: Pick<Exchange, 'headers'>, name: string): string | undefined {
  return headers.find(([each]) => each.toLowerCase() === name)?.[1];
}
