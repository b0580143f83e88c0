// The table of the peer's settings: the parser, the default and the documentation of each. The key in config.toml, the
// environment variable and the flag of a setting are derived from its name.
import { hostname } from 'node:os';
import { join, resolve } from 'node:path';
import { peerIdFromString } from '@libp2p/peer-id';
import { type Component, multiaddr } from '@multiformats/multiaddr';
import {
  boolean,
  integer,
  list,
  logLevel,
  oneOf,
  parsed,
  poisonReads,
  quote,
  secret,
  type Values,
  type Variable,
} from '../../shared/variables.ts';
import { DIAL_STRATEGIES, DIAL_STRATEGY_NAMES } from '../network/addresses.ts';
import { createHubSettings } from './hub-settings.ts';
import type { UserEnvironment } from './user-environment.ts';

/** Which devices may pull from this one. */
export const SERVE_TO = ['members', 'anyone'] as const;
export type ServeTo = (typeof SERVE_TO)[number];

const MAX_TRACKERS = 8;
const MAX_RELAYS = 8;
const MAX_LISTEN_ADDRESSES = 8;

/** Maximum peer ids in `allowed_peers`; no user has that many devices. */
const MAX_ALLOWED_PEERS = 256;

/** Maximum length of a user id or device id, in bytes; the limit of the tracker. */
const MAX_NAME_BYTES = 256;

/** The value for an empty list of listen addresses. */
const NO_ADDRESS = 'none';

/** Punctuation that can be escaped in a Rust pattern but not in a JavaScript pattern. */
const ESCAPED_IN_RUST = /[ !"#%&',:;=@_`~-]/;

export function createSettings({ home, user, config }: UserEnvironment) {
  const path = (fallback: string, doc: string) => parsed((text) => expandHome(text, home), { fallback, doc });
  return {
    dbPath: path('~/.rustory/history.db', 'SQLite database of the history. rr can use the same file.'),
    userId: parsed(parseName, {
      fallback: user,
      doc: 'User that this history belongs to. Only devices of this user are discovered.',
    }),
    deviceId: parsed(parseName, {
      fallback: hostname(),
      doc: 'Name of this device in the entries that it records.',
    }),
    trackers: list(parseTracker, MAX_TRACKERS, {
      fallback: undefined,
      doc: 'URLs of trackers, comma-separated. All trackers are used.',
    }),
    trackerToken: secret(parseToken, {
      fallback: undefined,
      doc: 'Token for the trackers. It has no flag, because other users of the machine can read arguments.',
    }),
    trackerTokenOverHttp: boolean({
      fallback: 'false',
      doc: 'Whether the token is also sent over http:// to a host that is not loopback, in clear text. rr never does.',
    }),
    relayAddr: list(parseRelay, MAX_RELAYS, {
      fallback: undefined,
      doc: 'Multiaddrs of relays, comma-separated, the preferred relay first. Each ends in /p2p/PEER_ID.',
    }),
    swarmKeyPath: path(
      join(config, 'swarm.key'),
      'File with the swarm key, which all devices of the network share.',
    ),
    p2pIdentityKeyPath: path(
      join(config, 'identity.key'),
      'File with the private key of this device. It is created when it does not exist.',
    ),
    listen: parsed(parseListen, {
      fallback: '/ip4/0.0.0.0/tcp/0',
      doc: `Multiaddrs on which serve accepts direct connections, comma-separated, or ${NO_ADDRESS}.`,
    }),
    serveTo: oneOf(SERVE_TO, {
      fallback: undefined,
      doc: 'Which devices may pull from this one and push to it: members (devices of this user that a tracker lists or listed) or anyone (all that have the swarm key; rr 0.1 needs it). The default is members, without a tracker anyone.',
    }),
    allowedPeers: parsed(parseAllowedPeers, {
      fallback: undefined,
      doc: 'Peer ids of the only devices that may pull from this one or push to it, and to which it pushes, comma-separated, in addition to the condition of serve_to. rr 0.1 is refused then, because it has a new peer id at each sync.',
    }),
    dialStrategy: oneOf(DIAL_STRATEGY_NAMES, {
      fallback: 'relay-first',
      doc: `Which addresses of a peer are dialed, and in which order: ${describeStrategies()}.`,
    }),
    p2pRequestAttempts: integer(1, 20, {
      fallback: '3',
      doc: 'Maximum attempts without progress before a sync with a peer fails.',
    }),
    p2pRequestTimeoutBaseSec: integer(1, 600, {
      fallback: '5',
      doc: 'Idle timeout of the first attempt in seconds. It doubles with each attempt.',
    }),
    p2pRequestTimeoutCapSec: integer(1, 3600, { fallback: '30', doc: 'Maximum idle timeout in seconds.' }),
    p2pRequestBackoffBaseMs: integer(1, 60_000, {
      fallback: '200',
      doc: 'Pause after the first failed attempt in milliseconds. It doubles with each attempt.',
    }),
    p2pWatchStartJitterSec: integer(0, 3600, {
      fallback: '0',
      doc: 'Maximum random delay before the first round of a watch, in seconds.',
    }),
    recordIgnoreRegex: parsed(parseRegex, {
      fallback: undefined,
      doc: 'Commands that match are neither recorded nor imported.',
    }),
    ...createHubSettings((doc) => parsed((text) => expandHome(text, home), { fallback: undefined, doc })),
    poisonReads,
    logLevel,
  } satisfies Record<string, Variable<unknown>>;
}

type SettingsTable = ReturnType<typeof createSettings>;
export type SettingName = keyof SettingsTable;
export type Settings = Values<SettingsTable>;

/** A path with `~` replaced by the home directory, made absolute. */
export function expandHome(text: string, home: string): string {
  return resolve(text === '~' || text.startsWith('~/') ? join(home, text.slice(1)) : text);
}

function describeStrategies(): string {
  return DIAL_STRATEGY_NAMES.map((name) => `${name} (${DIAL_STRATEGIES[name].doc})`).join(', ');
}

function parseName(text: string): string {
  const bytes = Buffer.byteLength(text);
  if (bytes > MAX_NAME_BYTES)
    throw new Error(`The name has ${bytes} bytes; the maximum is ${MAX_NAME_BYTES}.`);
  if (text.includes('\0')) throw new Error('The name contains a NUL character.');
  return text;
}

// No message repeats the text, because a URL may contain a password.
function parseTracker(text: string): string {
  if (!URL.canParse(text)) throw new Error('An item is not a URL such as http://tracker.lan:8850.');
  const { protocol, username, password, search, hash, href } = new URL(text);
  if (protocol !== 'http:' && protocol !== 'https:')
    throw new Error('An item is not an http or https URL such as http://tracker.lan:8850.');
  if (username !== '' || password !== '' || search !== '' || hash !== '')
    throw new Error(
      'The URL of a tracker must not have a user name, a password, a query or a fragment; set tracker_token for the token.',
    );
  return href.replace(/\/+$/, '');
}

/** @throws Error without the token */
export function parseToken(text: string): string {
  if (!/^[\x21-\x7e]+$/.test(text))
    throw new Error('The token contains a character that is not printable ASCII, or a space.');
  return text;
}

function parseRelay(text: string): string {
  const components = componentsOf(text);
  if (components === undefined)
    throw new Error(`${quote(text)} is not a multiaddr such as /dns4/relay.lan/tcp/4001/p2p/PEER_ID.`);
  if (components.length < 2 || components.at(-1)?.name !== 'p2p')
    throw new Error(`${quote(text)} does not end in /p2p/ and the peer id of the relay.`);
  return text;
}

/** An empty list is rejected, because it could be read as nobody and as everybody. */
function parseAllowedPeers(text: string): string[] {
  const items = text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
  if (items.length === 0)
    throw new Error(
      'The list is empty. Name peer ids, or remove the setting to answer all devices of serve_to.',
    );
  if (items.length > MAX_ALLOWED_PEERS)
    throw new Error(`${items.length} items are given; the maximum is ${MAX_ALLOWED_PEERS}.`);
  return [...new Set(items.map(parsePeerId))];
}

/** The peer id in the notation that connections have. */
function parsePeerId(text: string): string {
  try {
    return peerIdFromString(text).toString();
  } catch (error) {
    throw new Error(
      `${quote(text)} is not a peer id such as 12D3KooW…; "peers" and "doctor" print peer ids.`,
      {
        cause: error,
      },
    );
  }
}

function parseListen(text: string): string[] {
  if (text === NO_ADDRESS) return [];
  const addresses = text.split(',').map((item) => item.trim());
  if (addresses.length > MAX_LISTEN_ADDRESSES)
    throw new Error(`${addresses.length} items are given; the maximum is ${MAX_LISTEN_ADDRESSES}.`);
  for (const address of addresses)
    if (!isListenAddress(address))
      throw new Error(
        `${quote(address)} is neither "${NO_ADDRESS}" nor a multiaddr such as /ip4/0.0.0.0/tcp/8845.`,
      );
  return addresses;
}

/** Whether the text is an IP address and a TCP port, which is all that the node can listen on. */
function isListenAddress(text: string): boolean {
  const [host, port, ...rest] = componentsOf(text) ?? [];
  return (host?.name === 'ip4' || host?.name === 'ip6') && port?.name === 'tcp' && rest.length === 0;
}

/** The components of a multiaddr; `undefined` when the text is not one. */
function componentsOf(text: string): Component[] | undefined {
  try {
    // Decoded again, because the library checks a peer id only when it encodes the address.
    return multiaddr(multiaddr(text).bytes).getComponents();
  } catch {
    return undefined;
  }
}

/**
 * Parses a pattern in the Rust syntax of `rr`: flags are at the front, as in `(?i)token`, and all punctuation can be
 * escaped, as in `api\-key`. JavaScript accepts only some of these escapes.
 */
function parseRegex(text: string): RegExp {
  const [, flags = '', body = ''] = /^(?:\(\?([ims]+)\))?(.*)$/s.exec(text) ?? [];
  const portable = body.replaceAll(/\\(.)/gsu, (escape, character: string) =>
    ESCAPED_IN_RUST.test(character) ? `\\u{${character.codePointAt(0)?.toString(16)}}` : escape,
  );
  try {
    return new RegExp(portable, `${flags}u`);
  } catch (error) {
    throw new Error(`${quote(text)} is not a regular expression that this program can read.`, {
      cause: error,
    });
  }
}
