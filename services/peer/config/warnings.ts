// Warnings about settings without effect: typing errors, and values that exclude each other.
import type { Settings } from './settings.ts';

/**
 * Keys of config.toml, and in upper case variables, that only `rr` has. They have no effect on this peer and cause no
 * warning, because both programs share the file and the hook of `rr` exports variables in every shell.
 */
const KEYS_OF_RR =
  /^(search_limit(_default)?|relay_identity_key_path|require_device_membership|allow_remote_retirement|hook_\w+|p2p_log|(async_upload|auto_prune|auto_tombstone_gc)(_\w+)?)$/;

/** The names that a configuration was read from. */
export interface ConfigNames {
  readonly program: string;
  /** The keys of the file that are not settings. */
  readonly otherKeys: readonly string[];
  /** The path of the file. */
  readonly path: string;
  /** All variables with the prefix `RUSTORY_`. */
  readonly variables: readonly string[];
  /** Those that have an effect. */
  readonly known: ReadonlySet<string>;
}

/** Whole sentences about settings without effect. */
export function findWarnings(
  values: Settings,
  { program, otherKeys, path, variables, known }: ConfigNames,
): string[] {
  const keys = otherKeys.filter((key) => !KEYS_OF_RR.test(key));
  const names = variables.filter(
    (name) => !known.has(name) && !KEYS_OF_RR.test(name.replace(/^RUSTORY_/, '').toLowerCase()),
  );
  return [
    ...timeoutWarnings(values),
    ...keys.map(
      (key) =>
        `${path}: ${JSON.stringify(key)} is not a known key and has no effect; ${program} settings --help lists the keys.`,
    ),
    ...names.map(
      (name) =>
        `${name} is not a known variable and has no effect; ${program} settings --help lists the variables.`,
    ),
  ];
}

function timeoutWarnings({
  p2pRequestTimeoutBaseSec: base,
  p2pRequestTimeoutCapSec: cap,
}: Settings): string[] {
  if (base <= cap) return [];
  return [
    `p2p_request_timeout_base_sec: ${base} seconds is above p2p_request_timeout_cap_sec, so that every attempt waits ${cap} seconds.`,
  ];
}
