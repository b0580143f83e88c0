// Entries and deletions as clients of `rr` send them, written without the code of the peer.

/** Year, day of the year, hour, minute, second, nanosecond, then the offset in hours, minutes and seconds. */
export type WireTime = readonly number[];

export type WireEntry = Readonly<Record<string, unknown>> & { readonly entry_id: string };

export interface WireDeletion {
  readonly entry_id: string;
  readonly user_id: string;
  readonly device_id: string;
  /** Unix seconds. */
  readonly deleted_at: number;
}

export interface WireEntryOptions {
  /** Number of the first entry. Default 0. */
  readonly first?: number;
  readonly userId?: string;
  /** Unix seconds of the entry with number 0; each further one is a second later. */
  readonly firstUnixSeconds?: number;
  /** Minimum length of the commands, in characters. Default 0. */
  readonly commandLength?: number;
}

const DAY_MS = 86_400_000;

/** A time as the Rust `time` crate serializes it. */
export function wireTime(unixSeconds: number): WireTime {
  const date = new Date(unixSeconds * 1000);
  const year = date.getUTCFullYear();
  const startMs = new Date(0).setUTCFullYear(year, 0, 1);
  const day = Math.floor((date.getTime() - startMs) / DAY_MS) + 1;
  return [year, day, date.getUTCHours(), date.getUTCMinutes(), date.getUTCSeconds(), 0, 0, 0, 0];
}

/** The id of an entry of `wireEntries`. */
export function wireEntryId(deviceId: string, position: number): string {
  return `${deviceId}-${String(position).padStart(7, '0')}`;
}

/** Entries with ids that no other device creates. */
export function wireEntries(deviceId: string, count: number, options: WireEntryOptions = {}): WireEntry[] {
  const { first = 0, userId = 'ada', firstUnixSeconds = 1_700_000_000, commandLength = 0 } = options;
  return Array.from({ length: count }, (_, index) => {
    const position = first + index;
    return {
      entry_id: wireEntryId(deviceId, position),
      device_id: deviceId,
      user_id: userId,
      ts: wireTime(firstUnixSeconds + position),
      cmd: `make test-${position % 97} && git commit -m "change ${position}" `.padEnd(commandLength, 'x'),
      cwd: `/home/${userId}/projects/p${position % 13}`,
      exit_code: position % 5 === 0 ? 1 : 0,
      duration_ms: position % 1000,
      shell: 'zsh',
      hostname: `${deviceId}.lan`,
      version: '1.1.1',
    };
  });
}

/** The deletion of an entry of `wireEntries`. */
export function wireDeletion(deviceId: string, position: number, userId = 'ada'): WireDeletion {
  return {
    entry_id: wireEntryId(deviceId, position),
    user_id: userId,
    device_id: deviceId,
    deleted_at: 1_750_000_000 + position,
  };
}
