// Admits requests of the API and of the status page: the host, the origin, the rate limits and the token, in this order.
import type { Answer, ApiRequest } from './api-request.ts';
import type { AppDeps, Refusals } from './app-context.ts';
import { isAllowedHost, isFromForeignPage } from './foreign-pages.ts';
import type { Grant } from './tokens.ts';

/** Path of the page that lists the registered devices. */
export const STATUS_PATH = '/';

/** What a client is asked for that has no token. */
export const API_CHALLENGE = 'Bearer';

/** What a load balancer that probes the status page should do. */
const PROBE_DETAIL = 'the status page requires a token; probe /readyz or /livez, which require none';

/**
 * Sets the grant of a request that is within the rate limits and has a valid token, and returns `undefined`. Any other
 * request is refused.
 *
 * @param challenge the scheme that a browser or client is asked for
 */
export type Admit = (request: ApiRequest, challenge: string) => Answer | undefined;

export function createAdmission({ auth, allowedHosts }: AppDeps, { refuse, refuseExcess }: Refusals): Admit {
  /** Refuses requests for other hosts, and those that change something and are from a web page of another origin. */
  function refuseOrigin(request: ApiRequest): Answer | undefined {
    if (!isAllowedHost(request, allowedHosts))
      return refuse(request, 'unknown_host', { detail: 'the host is not in TRACKER_ALLOWED_HOSTS' });
    const isReading = request.method === 'GET' || request.method === 'HEAD';
    if (!isReading && isFromForeignPage(request))
      return refuse(request, 'foreign_page', { headers: { Connection: 'close' } });
    return undefined;
  }

  return (request, challenge) => {
    const refused = refuseOrigin(request);
    if (refused !== undefined) return refused;
    const { isReal, limitKey } = request.client;
    const grant = auth.identify((name) => request.header(name));
    const addressExcess = refuseExcess(request, 'address', addressRateKey(limitKey, grant));
    if (addressExcess !== undefined) return addressExcess;
    if (grant === undefined) {
      const loginExcess = refuseExcess(request, 'failed login', isReal ? limitKey : undefined);
      if (loginExcess !== undefined) return loginExcess;
      const detail = request.path === STATUS_PATH ? PROBE_DETAIL : undefined;
      return refuse(request, 'unauthorized', { detail, headers: { 'WWW-Authenticate': challenge } });
    }
    request.grant = grant;
    return refuseExcess(request, 'token', grant.id);
  };
}

/** Counts requests without a valid token apart, so that they never lock out other devices behind the same NAT. */
function addressRateKey(limitKey: string | undefined, grant: Grant | undefined): string | undefined {
  return limitKey === undefined || grant !== undefined ? limitKey : `${limitKey}\0failed`;
}
