// The calls that most requests are (ping, register, list), from the request of Node to the response of Node. Hono's
// adapter makes a Request, a Response, headers and streams of the web API for each request, which costs as much as Node's
// whole HTTP server. Here only requests of the ordinary form are answered: everything else, such as another path, a
// doubled header, or a long body, is left to Hono. All decisions are those of `admission.ts` and `handlers.ts`, so both
// ways in answer the same bytes.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { getQueryParam } from 'hono/utils/url';
import { monotonicMs } from '../shared/clock.ts';
import { createAnswerBatch } from './answer-batch.ts';
import { type Admit, API_CHALLENGE } from './admission.ts';
import type { Answer, ApiRequest } from './api-request.ts';
import type { AppDeps, Refusals } from './app-context.ts';
import { isSmallBody, readSmallBody } from './body.ts';
import type { AdmittedRequest, Handlers } from './handlers.ts';
import { parseListQuery } from './list-query.ts';
import { ordinaryHeader, type OrdinaryHeaders, ordinaryHeaders } from './ordinary-headers.ts';
import { createOrdinaryHosts, hasDoubledHeader } from './ordinary-requests.ts';
import { type Client, PROXY_HEADERS } from './proxies.ts';
import { API_PATHS, routes } from './routes.ts';

/** Queries that are parsed once: the characters that no URL parser changes. */
const PLAIN_QUERY = /^[\w.~%=&+@:,;-]{0,512}$/;

/** Maximum parsed queries that are kept. Above this limit all are dropped. Each has at most 512 characters. */
const MAX_KEPT_QUERIES = 1_000;

const CLIENT = Symbol('client');

/** The client of a connection whose requests have no header of a proxy. */
interface ClientSocket extends Socket {
  [CLIENT]?: Client;
}

/** A request that is answered directly. One exists per request, so its methods are not closures. */
class DirectRequest implements ApiRequest {
  readonly method: string;
  readonly path: string;
  readonly client: Client;
  readonly incoming: IncomingMessage;
  readonly beganMs: number;
  readonly #headers: OrdinaryHeaders | undefined;
  grant: ApiRequest['grant'] = undefined;
  device: ApiRequest['device'] = undefined;

  constructor(incoming: IncomingMessage, path: string, client: Client, headers: OrdinaryHeaders | undefined) {
    this.method = incoming.method ?? '';
    this.path = path;
    this.client = client;
    this.incoming = incoming;
    this.#headers = headers;
    this.beganMs = monotonicMs();
  }

  get url(): string {
    const { socket, url } = this.incoming;
    const scheme = (socket as TLSSocket).encrypted ? 'https' : 'http';
    return `${scheme}://${this.header('host')}${url}`;
  }

  header(name: string): string | undefined {
    return headerOf(this.incoming, this.#headers, name);
  }
}

function headerOf(
  incoming: IncomingMessage,
  ordinary: OrdinaryHeaders | undefined,
  name: string,
): string | undefined {
  return ordinary === undefined
    ? (incoming.headers[name] as string | undefined)
    : ordinaryHeader(ordinary, name);
}

/** An answer that is sent at the end of the turn. */
interface Unsent {
  readonly request: DirectRequest;
  readonly response: ServerResponse;
  readonly answer: Answer;
}

export interface HotCallDeps {
  readonly refusals: Refusals;
  readonly admit: Admit;
  readonly handlers: Handlers;
}

/** Returns false, and has neither read nor written anything, for a request that is not answered here. */
export type HotCalls = (request: IncomingMessage, response: ServerResponse) => boolean;

export function createHotCalls(
  { metrics, log, clientOf, answers, pathPrefix = '' }: AppDeps,
  { refusals, admit, handlers }: HotCallDeps,
): HotCalls {
  const paths = new Map<string, 'ping' | 'register' | 'list'>();
  for (const name of ['ping', 'register', 'list'] as const) {
    paths.set(routes[name].path, name);
    paths.set(`${pathPrefix}${routes[name].path}`, name);
  }
  const queries = new Map<string, ReturnType<typeof parseListQuery>>();
  const isOrdinaryHost = createOrdinaryHosts();

  function clientOfRequest(
    incoming: IncomingMessage & { socket: ClientSocket },
    headers: OrdinaryHeaders | undefined,
  ): Client {
    const { socket } = incoming;
    if (PROXY_HEADERS.some((name) => headerOf(incoming, headers, name) !== undefined))
      return clientOf(socket.remoteAddress ?? '', (name) => headerOf(incoming, headers, name));
    return (socket[CLIENT] ??= clientOf(socket.remoteAddress ?? '', () => undefined));
  }

  function parsedQuery(text: string): ReturnType<typeof parseListQuery> {
    const known = queries.get(text);
    if (known !== undefined) return known;
    const parsed = parseListQuery(getQueryParam(`${routes.list.path}${text}`) as Record<string, string>);
    if (queries.size >= MAX_KEPT_QUERIES) queries.clear();
    queries.set(text, parsed);
    return parsed;
  }

  function write({ request, response, answer: { status, headers, body } }: Unsent): void {
    if (body === null) {
      response.writeHead(status, headers).end();
      return;
    }
    const bytes = typeof body === 'string' ? Buffer.byteLength(body) : body.byteLength;
    response.writeHead(status, { ...headers, 'Content-Length': bytes });
    if (typeof body === 'string') response.end(body);
    else answers.write(body, request.incoming, response);
  }

  const batch = createAnswerBatch(write);

  function send(request: DirectRequest, response: ServerResponse, route: string, answer: Answer): void {
    const { method, path } = request;
    const { status } = answer;
    const seconds = (monotonicMs() - request.beganMs) / 1_000;
    metrics.request(method, route, status, seconds);
    if (log.isLevelEnabled('debug')) log.debug({ method, path, status, seconds }, 'request');
    batch.add({ request, response, answer });
  }

  /** Answers with what a handler returns, which is a promise only when the registry is not in the memory of this process. */
  function respond(
    request: DirectRequest,
    response: ServerResponse,
    route: string,
    call: () => Answer | Promise<Answer>,
  ): void {
    const fail = (error: unknown): void =>
      send(request, response, route, refusals.refuseFailed(request, error));
    let answered: Answer | Promise<Answer>;
    try {
      answered = call();
    } catch (error) {
      return fail(error);
    }
    if (answered instanceof Promise) answered.then((later) => send(request, response, route, later), fail);
    else send(request, response, route, answered);
  }

  function register(request: DirectRequest, response: ServerResponse): void {
    const { path } = routes.register;
    readSmallBody(request.incoming, (body) => {
      if (body.ok)
        respond(request, response, path, () => handlers.register(request as AdmittedRequest, body.text));
      else send(request, response, path, refusals.refuseBody(request, body));
    });
  }

  return (incoming, response) => {
    const { method, url = '' } = incoming;
    const queryStart = url.indexOf('?');
    const name = paths.get(queryStart === -1 ? url : url.slice(0, queryStart));
    if (name === undefined) return false;
    if (method !== (name === 'register' ? 'POST' : 'GET')) return false;
    const query = queryStart === -1 ? '' : url.slice(queryStart);
    if (query !== '' && (name !== 'list' || !PLAIN_QUERY.test(query.slice(1)))) return false;
    const headers = ordinaryHeaders(incoming);
    const read = (header: string): string | undefined => headerOf(incoming, headers, header);
    if (!isOrdinary(read, name === 'register')) return false;
    if (headers === undefined && hasDoubledHeader(incoming)) return false;
    if (!isOrdinaryHost(read('host'))) return false;
    const { path } = routes[name];
    const request = new DirectRequest(incoming, path, clientOfRequest(incoming, headers), headers);
    const refused = admit(request, API_CHALLENGE);
    if (refused !== undefined) send(request, response, API_PATHS, refused);
    else if (name === 'ping') send(request, response, path, handlers.ping());
    else if (name === 'register') register(request, response);
    else
      respond(request, response, path, () => handlers.list(request as AdmittedRequest, parsedQuery(query)));
    return true;
  };
}

/** Whether a request has a body only if it should, and no header of browsers and of other rare clients. */
function isOrdinary(header: (name: string) => string | undefined, hasBody: boolean): boolean {
  if (header('origin') !== undefined || header('sec-fetch-site') !== undefined) return false;
  if (header('expect') !== undefined || header('upgrade') !== undefined) return false;
  if (hasBody) return isSmallBody(header);
  return header('content-length') === undefined && header('transfer-encoding') === undefined;
}
