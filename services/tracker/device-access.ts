// What the status page says about the address at which it was opened: whether devices with a token use such an address,
// and what else keeps `rr` 1.x from reaching a tracker.
import { mayReceiveToken } from '../shared/loopback.ts';

/** How a request for the status page arrived. */
export interface Arrival {
  /** The URL of the request, with the host of its `Host` header. */
  readonly url: string;
  /**
   * `X-Forwarded-Proto`. It is used also from proxies that are not trusted, because it only decides whether a note is
   * shown to the one who sent it.
   */
  readonly forwardedProto: string | undefined;
  /** Whether the tracker requires tokens. */
  readonly requiresToken: boolean;
}

/** What rr 1.x requires of every address of a tracker. */
export const ACCESS_RULES =
  'rr 1.x sends a token only over https, with a certificate of a public authority, or over http to loopback. It follows ' +
  'no redirect: if a proxy redirects http to https or to a login, devices need the final URL. TCP and TLS together must ' +
  'finish within 0.3 seconds at the first try, then 0.6 and 1.2, for each request anew.';

/** A sentence when devices would not use the address at which the page was opened; otherwise `undefined`. */
export function accessWarning({ url, forwardedProto, requiresToken }: Arrival): string | undefined {
  if (!requiresToken) return undefined;
  const address = new URL(url);
  // Several proxies add a list, in which the first one is that of the client.
  const [scheme = ''] = (forwardedProto ?? '').split(',');
  if (scheme.trim().toLowerCase() === 'https') address.protocol = 'https:';
  if (mayReceiveToken(address)) return undefined;
  return (
    `This page was opened at ${address.origin}, which is neither https nor loopback: a device with a token sends no ` +
    'request to this address. Give the devices an https URL of this tracker.'
  );
}
