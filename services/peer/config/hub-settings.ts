// The settings of the hub, which the other commands ignore, except for `tracker_token_path`.
import { isIP } from 'node:net';
import { multiaddr } from '@multiformats/multiaddr';
import { isUnreachable } from '../../shared/address-class.ts';
import { describeError } from '../../shared/errors.ts';
import { readSmallFile } from '../../shared/files.ts';
import { integer, list, parsed, quote, type Variable } from '../../shared/variables.ts';

/** Maximum announced addresses: IPv4 and IPv6 on a few networks. */
const MAX_ANNOUNCED = 8;

/** Maximum relays in the cluster of the hub, as many as the network test accepts. */
const MAX_INTERNAL_RELAYS = 64;

/** Maximum size of the file of a token, in bytes. */
const MAX_TOKEN_FILE_BYTES = 8 * 1024;

const MIB = 1024 ** 2;

/** Multiaddr protocols for hosts of announced addresses. */
const HOSTS = new Set(['ip4', 'ip6', 'dns', 'dns4', 'dns6']);

/** @param path creates the setting of an optional path */
export function createHubSettings(path: (doc: string) => Variable<string | undefined>) {
  return {
    trackerTokenPath: path(
      'File with the token for the trackers, instead of tracker_token. It is read again for each request, so that a new token needs no restart.',
    ),
    hubSecretPath: path(
      'File with the secret of the hub, at least 16 bytes, from which its identity is derived together with the id of its database. Required by hub.',
    ),
    announceAddrs: list(parseAnnounced, MAX_ANNOUNCED, {
      fallback: undefined,
      doc: 'Multiaddrs at which devices reach the hub directly, comma-separated. The hub registers these and its circuits, never its listen addresses. With a public IP address among them it requests no reservations.',
    }),
    internalRelayAddrs: list(parseInternalRelay, MAX_INTERNAL_RELAYS, {
      fallback: undefined,
      doc: 'Multiaddrs of relays without their peer ids, comma-separated, for a hub in the same cluster: the peer that answers there and has the swarm key is the relay. The hub registers its circuits with the addresses that these relays announce, and not with these.',
    }),
    hubIntervalSec: integer(10, 86_400, {
      fallback: '300',
      doc: 'Seconds between two rounds in which the hub pulls from devices that can be reached; up to a fifth less at random.',
    }),
    opsHost: parsed(parseHost, {
      fallback: '0.0.0.0',
      doc: 'IP address on which the hub serves /livez, /readyz and /metrics. Keep this port private.',
    }),
    opsPort: integer(0, 65_535, {
      fallback: '9092',
      doc: 'Port on which the hub serves /livez, /readyz and /metrics; 0 means a free port, which is logged.',
    }),
    maxDatabaseBytes: integer(MIB, Number.MAX_SAFE_INTEGER, {
      fallback: undefined,
      doc: 'Maximum bytes of the database of the hub that are in use, without its log; the space of deleted entries is used again. Above it no more entries are stored, deletions until they use another sixteenth, and the hub is not ready. Default: no limit but min_free_bytes.',
    }),
    minFreeBytes: integer(0, Number.MAX_SAFE_INTEGER, {
      fallback: String(64 * MIB),
      doc: 'Minimum free bytes on the disk of the database of the hub. Below it nothing more is stored, and the hub is not ready.',
    }),
  } as const satisfies Record<string, Variable<unknown>>;
}

/** Parses one announced address: a host and a TCP port, optionally followed by the peer id of the hub. */
function parseAnnounced(text: string): string {
  const components = componentsOf(text);
  const [host, port, peer, ...rest] = components ?? [];
  const isAddress = host !== undefined && HOSTS.has(host.name) && port?.name === 'tcp';
  if (!isAddress || rest.length > 0 || (peer !== undefined && peer.name !== 'p2p'))
    throw new Error(`${quote(text)} is not a host and a TCP port, such as /ip4/203.0.113.7/tcp/4002.`);
  if (isUnreachable(components ?? []))
    throw new Error(
      `${quote(text)} cannot be dialed: it has port 0, or an unspecified, broadcast or multicast address.`,
    );
  return text;
}

/** Parses the address of a relay: a host and a TCP port. */
function parseInternalRelay(text: string): string {
  const [host, port, ...rest] = componentsOf(text) ?? [];
  if (host === undefined || !HOSTS.has(host.name) || port?.name !== 'tcp' || rest.length > 0)
    throw new Error(
      `${quote(text)} is not a host and a TCP port, such as /dns/relay-0.relay.p2p.svc/tcp/4001.`,
    );
  return text;
}

function componentsOf(text: string) {
  try {
    // Decoded again, because the library checks a peer id only when it encodes the address.
    return multiaddr(multiaddr(text).bytes).getComponents();
  } catch {
    return undefined;
  }
}

function parseHost(text: string): string {
  const host = text.replace(/^\[(.*)\]$/, '$1');
  if (isIP(host) === 0) throw new Error(`${quote(text)} is not an IP address such as 0.0.0.0 or ::.`);
  return host;
}

/**
 * Reads the token in a file.
 *
 * @param parse checks the token
 * @throws Error that names the path and the reason, never the content
 */
export function readTokenFile(path: string, parse: (text: string) => string): string {
  const text = readSmallFile(path, MAX_TOKEN_FILE_BYTES).toString('utf8').trim();
  if (text === '') throw new Error(`${path}: The file is empty; write the token into it.`);
  try {
    return parse(text);
  } catch (error) {
    throw new Error(`${path}: ${describeError(error)}.`, { cause: error });
  }
}
