// One request at a time on each connection. Node.js calls the listener for every request that it has read, also for
// thousands in one packet, and keeps all their answers in memory until the client reads the first one.
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/**
 * Maximum requests of a connection that wait while one is answered. With one more the connection is closed, because
 * Node.js cannot be told to stop in the middle of a packet. Clients of the API send one request at a time.
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

/** Calls the listener for the next request of a connection after the previous answer was sent, in order. */
export function inTurns(
  listener: RequestListener,
  { onBusy, onQuiet, onExcess }: TurnEvents,
): RequestListener {
  const waiting = new WeakMap<Socket, Exchange[]>();

  function run(socket: Socket, [request, response]: Exchange): void {
    response.once('close', () => {
      const next = socket.destroyed ? undefined : waiting.get(socket)?.shift();
      if (next !== undefined) return run(socket, next);
      waiting.delete(socket);
      onQuiet(socket);
    });
    listener(request, response);
  }

  return (request, response) => {
    const { socket } = request;
    // The parser goes on to the end of a packet after the connection was closed.
    if (socket.destroyed) return;
    const queue = waiting.get(socket);
    if (queue === undefined) {
      waiting.set(socket, []);
      onBusy(socket);
      run(socket, [request, response]);
    } else if (queue.length < MAX_WAITING_REQUESTS) {
      queue.push([request, response]);
    } else {
      waiting.delete(socket);
      onExcess(socket);
      socket.destroy();
    }
  };
}
