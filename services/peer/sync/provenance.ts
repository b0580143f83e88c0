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

/** What a pushed entry and a pushed deletion have in common. */
export interface PushedItem {
  readonly user_id: string;
  readonly device_id: string;
}

/** The architecture that some versions of `rr` append to the device id. */
const ARCHITECTURE_SUFFIX = /[-_](x86_64|aarch64|arm64)$/;

/**
 * Checks the entries and deletions of one push. A single item of another user or device refuses all of them, as in
 * `rr`.
 *
 * @param pusher the registration of the device that pushes
 */
export function checkProvenance(
  items: Iterable<PushedItem>,
  pusher: Member,
): Result<object, ProvenanceReason> {
  const device = pusher.deviceId === undefined ? '' : toBareDeviceId(pusher.deviceId);
  if (device === '') return refused('the device is not registered with a device id');
  for (const { user_id: userId, device_id: deviceId } of items) {
    if (userId !== pusher.userId) return refused('an item belongs to another user');
    if (toBareDeviceId(deviceId) !== device) return refused('an item belongs to another device');
  }
  return { ok: true };
}

/** The device id without the architecture, so that an update of `rr` does not make another device. */
function toBareDeviceId(deviceId: string): string {
  return deviceId.replace(ARCHITECTURE_SUFFIX, '');
}
