// The check of what a push carries: a device may push only what it made itself. A pull is not checked, because only by
// being pulled can a device pass on the entries of other devices.
import { refused, type Result } from '../../shared/result.ts';
import type { Member } from './membership.ts';

/** Why a push is refused; values of a log field. */
export const PROVENANCE_REASONS = [
  'the device is not registered with a device id',
  'an item belongs to another user',
  'an item belongs to another device',
] as const;
export type ProvenanceReason = (typeof PROVENANCE_REASONS)[number];

/** The ids of a pushed entry or deletion, which may have any value or be absent. */
export interface PushedItem {
  readonly user_id?: unknown;
  readonly device_id?: unknown;
}

/**
 * The users and devices whose items a push has. Two of a kind are remembered, because nobody may push the items of more than
 * one user, and no member those of more than one device.
 */
export interface Owners {
  /** Values that are not texts are ignored: an item without ids is not valid, and is not stored. */
  add(item: PushedItem): void;
  readonly users: ReadonlySet<string>;
  /** The device ids without the suffix of an architecture. */
  readonly devices: ReadonlySet<string>;
}

const MAX_OWNERS = 2;

export function createOwners(): Owners {
  const [users, devices] = [new Set<string>(), new Set<string>()];
  let lastDeviceId: string | undefined;
  return {
    users,
    devices,
    add({ user_id: userId, device_id: deviceId }) {
      if (typeof userId === 'string' && users.size < MAX_OWNERS) users.add(userId);
      if (typeof deviceId !== 'string' || deviceId === lastDeviceId || devices.size >= MAX_OWNERS) return;
      devices.add(toBareDeviceId(deviceId));
      lastDeviceId = deviceId;
    },
  };
}

/** The architecture that some versions of `rr` append to the device id. */
const ARCHITECTURE_SUFFIX = /[-_](x86_64|aarch64|arm64)$/;

/** Checks that the items of a push belong to one user. */
export function checkUser({ users }: Owners, userId: string): Result<object, ProvenanceReason> {
  for (const each of users) if (each !== userId) return refused('an item belongs to another user');
  return { ok: true };
}

/**
 * Checks the entries and deletions of one push. A single item of another user or device refuses all of them, as in
 * `rr`.
 *
 * @param pusher the registration of the device that pushes
 */
export function checkProvenance(owners: Owners, pusher: Member): Result<object, ProvenanceReason> {
  const device = pusher.deviceId === undefined ? '' : toBareDeviceId(pusher.deviceId);
  if (device === '') return refused('the device is not registered with a device id');
  const checked = checkUser(owners, pusher.userId);
  if (!checked.ok) return checked;
  for (const each of owners.devices) if (each !== device) return refused('an item belongs to another device');
  return { ok: true };
}

/** The device id without the architecture, so that an update of `rr` does not make another device. */
function toBareDeviceId(deviceId: string): string {
  return deviceId.replace(ARCHITECTURE_SUFFIX, '');
}
