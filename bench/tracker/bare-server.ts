// A bare `node:http` server, the yardstick of the tracker: it parses the same JSON and sends the same headers and bytes,
// and knows nothing. `node bench/tracker/bare-server.ts FILE` reads the answers from a JSON file and prints its port.
import { readFileSync } from 'node:fs';
import { createServer, type RequestListener, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';

/** An answer that was recorded from the tracker. */
export interface BareAnswer {
  readonly status: number;
  /** Without those that `node:http` adds itself. */
  readonly headers: Readonly<Record<string, string>>;
  /** In Base64. */
  readonly body: string;
}

/** The answers of the server. */
export interface BareAnswers {
  readonly register: BareAnswer;
  readonly list?: BareAnswer;
  readonly notModified?: BareAnswer;
  /** Certificate and key in PEM; absent: no TLS. */
  readonly tls?: { readonly cert: string; readonly key: string };
}

interface Prepared {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

function prepare(answer: BareAnswer): Prepared {
  return { ...answer, body: Buffer.from(answer.body, 'base64') };
}

function send(response: ServerResponse, { status, headers, body }: Prepared): void {
  response.writeHead(status, headers);
  if (status === 304) response.end();
  else response.end(body);
}

function main(path: string): void {
  const answers = JSON.parse(readFileSync(path, 'utf8')) as BareAnswers;
  const register = prepare(answers.register);
  const list = answers.list && prepare(answers.list);
  const notModified = answers.notModified && prepare(answers.notModified);
  const [, etag] = Object.entries(notModified?.headers ?? {}).find(([name]) => /^etag$/i.test(name)) ?? [];
  const options = { noDelay: true, keepAliveTimeout: 75_000, ...answers.tls };
  const listener: RequestListener = (request, response) => {
    if (request.method !== 'POST') {
      const isKnown = request.headers['if-none-match'] === etag;
      return send(response, (etag !== undefined && isKnown ? notModified : list) ?? register);
    }
    let text = '';
    request.setEncoding('utf8');
    request.on('data', (part: string) => (text += part));
    request.on('end', () => {
      const { peer_id } = JSON.parse(text) as { readonly peer_id?: unknown };
      if (typeof peer_id === 'string') send(response, register);
      else response.writeHead(400).end();
    });
  };
  const { tls } = answers;
  const server = tls === undefined ? createServer(options, listener) : createTlsServer(options, listener);
  // The longest queue of connections that the kernel allows.
  server.listen({ host: '127.0.0.1', port: 0, backlog: 4_096 }, () => {
    const { port } = server.address() as AddressInfo;
    process.stdout.write(`${JSON.stringify({ msg: 'listening', port })}\n`);
  });
}

const [, , path] = process.argv;
if (import.meta.main && path !== undefined) main(path);
