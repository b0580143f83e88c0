// Serves an app that has the `fetch` of the web API, such as one of Hono. A file of its own, because the classes of the web
// API alone need 19 MiB, which the relay, whose ops port does without them, saves.
import { getRequestListener } from '@hono/node-server';
import { MISSING_HOST } from './host-header.ts';
import { createListenerServer, type ListenerServer, type ServedRequests } from './http-server.ts';

type FetchCallback = Parameters<typeof getRequestListener>[0];

/** What a server serves. `fetch` answers the requests that `direct` does not. */
export interface ServedApp extends Pick<ServedRequests, 'direct'> {
  readonly fetch: FetchCallback;
}

type Parameter = Parameters<typeof createListenerServer>;

/** See `createListenerServer`. */
export function createHttpServer(
  name: string,
  listen: Parameter[1],
  app: ServedApp,
  limits: Parameter[3],
  onListening: Parameter[4],
  options?: Parameter[5],
): ListenerServer {
  const respond = getRequestListener(app.fetch, { hostname: MISSING_HOST });
  const served: ServedRequests = {
    respond,
    ...(app.direct === undefined ? {} : { direct: app.direct.bind(app) }),
  };
  return createListenerServer(name, listen, served, limits, onListening, options);
}
