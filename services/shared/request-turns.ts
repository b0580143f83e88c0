// One request at a time on each connection. Node.js calls the listener for every request that it has read, also for
// thousands in one packet, and keeps all their answers in memory until the client reads the first one.
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/**
 * Maximum requests of a connection that wait while one is answered. With one more the connection is closed. Clients of
 * the API send one request at a time.
 */
const MAX_WAITING_REQUESTS = 8;

export interface TurnEvents {
  /** The first request of a quiet connection begins. */
  onBusy(socket: Socket): void;
  /** All requests of the connection have been answered. */
  onQuiet(socket: Socket): void;
  /** The connection was closed because too many requests waited. */
  onExcess(socket: Socket): void;
}

type Exchange = readonly [request: IncomingMessage, response: ServerResponse];

/** The requests of one connection. One exists per connection, so that a request costs no closure and no hashing. */
class Turns {
  isBusy = false;
  /** Set when too many requests waited. */
  isClosed = false;
  readonly waiting: Exchange[] = [];
}

const TURNS = Symbol('turns');

interface SocketWithTurns extends Socket {
  [TURNS]?: Turns;
}

/** Calls the listener for the next request of a connection after the previous answer was sent, in order. */
export function inTurns(
  listener: RequestListener,
  { onBusy, onQuiet, onExcess }: TurnEvents,
): RequestListener {
  function run(request: IncomingMessage, response: ServerResponse): void {
    response.on('close', onAnswered);
    listener(request, response);
  }

  function onAnswered(this: ServerResponse): void {
    const socket: SocketWithTurns = this.req.socket;
    const turns = socket[TURNS];
    if (turns === undefined) return;
    const next = socket.destroyed || turns.isClosed ? undefined : turns.waiting.shift();
    if (next !== undefined) return run(next[0], next[1]);
    turns.isBusy = false;
    if (turns.waiting.length > 0) turns.waiting.length = 0;
    onQuiet(socket);
  }

  return (request, response) => {
    const socket: SocketWithTurns = request.socket;
    if (socket.destroyed) return ignoreRest(socket);
    const turns = (socket[TURNS] ??= new Turns());
    if (!turns.isBusy) {
      turns.isBusy = true;
      onBusy(socket);
      run(request, response);
    } else if (turns.waiting.length < MAX_WAITING_REQUESTS) {
      turns.waiting.push([request, response]);
    } else {
      turns.isClosed = true;
      turns.waiting.length = 0;
      onExcess(socket);
      socket.destroy();
      ignoreRest(socket);
    }
  };
}

/** The member of a socket that is its HTTP parser, and the function that the parser calls for each request. */
interface ParsedSocket {
  readonly parser?: { onIncoming: ((request: IncomingMessage) => number) | null } | null;
}

/**
 * Ends the parser of a closed connection. It would go on to the end of the packet, and Node.js would keep thousands of
 * requests and responses until it has read the packets of all other connections. It has no public way to stop it.
 */
function ignoreRest(socket: Socket): void {
  const { parser } = socket as ParsedSocket;
  if (parser?.onIncoming) parser.onIncoming = () => NO_MORE_HTTP;
}

/** Tells the parser that the bytes after this request are of another protocol, so it stops (as after an upgrade). */
const NO_MORE_HTTP = 2;
