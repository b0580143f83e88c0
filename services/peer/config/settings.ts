// The table of the peer's settings: how the text of each is read, its default and its one line of documentation.
// The names in config.toml, in the environment and on the command line are made from the names here.
import { hostname } from 'node:os';
import { join, resolve } from 'node:path';
import { multiaddr } from '@multiformats/multiaddr';
import { integer, list, logLevel, oneOf, parsed, secret, type Values, type Variable } from '../../shared/variables.ts';

/** Most trackers that are asked, and most relays that are tried. */
export const MAX_TRACKERS = 8;
export const MAX_RELAYS = 8;
const MAX_LISTEN_ADDRESSES = 8;

/** Longest user id and device id, in bytes: what a tracker takes. */
const MAX_NAME_BYTES = 256;

/** The word that empties the list of listen addresses. */
const NO_ADDRESS = 'none';

/** Punctuation that a pattern of `rr` may escape and one of JavaScript may not. */
const ESCAPED_IN_RUST = /[ !"#%&',:;=@_`~-]/;

export type DialStrategy = 'relay-first' | 'relay-only' | 'direct-first';

const DIAL_STRATEGIES: readonly DialStrategy[] = ['relay-first', 'relay-only', 'direct-first'];

/** What defaults and `~` are made from. */
export interface Surroundings {
  readonly home: string;
  /** The login name. */
  readonly user: string;
  /** Where config.toml and the keys are. */
  readonly config: string;
}

export function createSettings({ home, user, config }: Surroundings) {
  const path = (fallback: string, doc: string) =>
    parsed((text) => expandHome(text, home), { fallback, doc });
  return {
    dbPath: path('~/.rustory/history.db', 'SQLite database of the history. `rr` can use the same file.'),
    userId: parsed(parseName, {
      fallback: user,
      doc: 'User that this history belongs to. Only peers of this user are listed.',
    }),
    deviceId: parsed(parseName, { fallback: hostname(), doc: 'Name of this device in the entries it records.' }),
    trackers: list(parseTracker, MAX_TRACKERS, {
      fallback: undefined,
      doc: 'URLs of trackers, comma-separated. All of them are used.',
    }),
    trackerToken: secret(parseToken, {
      fallback: undefined,
      doc: 'Token for the trackers. It has no flag, because other users can read arguments.',
    }),
    relayAddr: list(parseRelay, MAX_RELAYS, {
      fallback: undefined,
      doc: 'Relay multiaddrs that end in /p2p/PEER_ID, preferred one first.',
    }),
    swarmKeyPath: path(join(config, 'swarm.key'), 'Swarm key that all devices of the network share.'),
    p2pIdentityKeyPath: path(
      join(config, 'identity.key'),
      'Private key of this device. Created when it does not exist.',
    ),
    listen: parsed(parseListen, {
      fallback: '/ip4/0.0.0.0/tcp/0',
      doc: `Multiaddrs on which \`serve\` accepts direct connections, or \`${NO_ADDRESS}\`.`,
    }),
    dialStrategy: oneOf(DIAL_STRATEGIES, {
      fallback: 'relay-first',
      doc: `Order in which a peer's addresses are dialed: ${DIAL_STRATEGIES.join(', ')}.`,
    }),
    p2pRequestAttempts: integer(1, 20, {
      fallback: '3',
      doc: 'Maximum attempts without progress before a sync with a peer fails.',
    }),
    p2pRequestTimeoutBaseSec: integer(1, 600, {
      fallback: '5',
      doc: 'Idle timeout of the first attempt in seconds. It doubles with each attempt.',
    }),
    p2pRequestTimeoutCapSec: integer(1, 3600, { fallback: '30', doc: 'Longest idle timeout in seconds.' }),
    p2pRequestBackoffBaseMs: integer(1, 60_000, {
      fallback: '200',
      doc: 'Pause after the first failed attempt in milliseconds. It doubles with each attempt.',
    }),
    p2pWatchStartJitterSec: integer(0, 3600, {
      fallback: '0',
      doc: 'Longest random delay before the first round of a watch, in seconds.',
    }),
    recordIgnoreRegex: parsed(parseRegex, {
      fallback: undefined,
      doc: 'Commands that match are neither recorded nor imported.',
    }),
    logLevel,
  } satisfies Record<string, Variable<unknown>>;
}

type SettingsTable = ReturnType<typeof createSettings>;
export type SettingName = keyof SettingsTable;
export type Settings = Values<SettingsTable>;

/** A path with `~` for the home directory, made absolute. */
export function expandHome(text: string, home: string): string {
  return resolve(text === '~' || text.startsWith('~/') ? join(home, text.slice(1)) : text);
}

function parseName(text: string): string {
  if (Buffer.byteLength(text) > MAX_NAME_BYTES || text.includes('\0'))
    throw new Error(`must have at most ${MAX_NAME_BYTES} bytes`);
  return text;
}

function parseTracker(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.username !== '' || url.search !== '')
    throw new Error('must be URLs such as http://tracker.lan:8850');
  return url.href.replace(/\/+$/, '');
}

function parseToken(text: string): string {
  if (!/^[\x21-\x7e]+$/.test(text)) throw new Error('must be printable ASCII without spaces');
  return text;
}

function parseRelay(text: string): string {
  const components = parseMultiaddr(
    text,
    'must be multiaddrs such as /dns4/relay.lan/tcp/4001/p2p/12D3KooW…',
  );
  if (components.at(-1)?.name !== 'p2p' || components.length < 2)
    throw new Error('must be multiaddrs that end in /p2p/ and the peer id of the relay');
  return text;
}

function parseListen(text: string): string[] {
  if (text === NO_ADDRESS) return [];
  const addresses = text.split(',').map((item) => item.trim());
  if (addresses.length > MAX_LISTEN_ADDRESSES)
    throw new Error(`must have at most ${MAX_LISTEN_ADDRESSES} items`);
  for (const address of addresses)
    parseMultiaddr(address, `must be \`${NO_ADDRESS}\` or multiaddrs such as /ip4/0.0.0.0/tcp/8845`);
  return addresses;
}

function parseMultiaddr(text: string, complaint: string) {
  try {
    return multiaddr(text).getComponents();
  } catch (error) {
    throw new Error(complaint, { cause: error });
  }
}

/**
 * `rr` writes its patterns for Rust, where flags stand at the front, `(?i)token`, and any punctuation may be escaped,
 * `api\-key`; JavaScript takes only some of those escapes.
 */
function parseRegex(text: string): RegExp {
  const [, flags = '', body = ''] = /^(?:\(\?([ims]+)\))?(.*)$/s.exec(text) ?? [];
  const portable = body.replaceAll(/\\(.)/gsu, (escape, character: string) =>
    ESCAPED_IN_RUST.test(character) ? `\\u{${character.codePointAt(0)?.toString(16)}}` : escape,
  );
  try {
    return new RegExp(portable, `${flags}u`);
  } catch (error) {
    throw new Error('must be a regular expression', { cause: error });
  }
}
