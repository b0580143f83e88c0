// Registrations of devices and hubs, for the tests of the registries.
import type { Registration } from '../services/tracker/registry/registry.ts';

export function device(peerId: string, userId: string | null = 'alice', extra = ''): Registration {
  return {
    peerId,
    userId,
    deviceId: null,
    hostname: null,
    json: JSON.stringify({ peer_id: peerId, addrs: [], meta: { user_id: userId, extra } }),
  };
}

export function hub(peerId: string, userId: string | null = 'alice', extra = ''): Registration {
  return { ...device(peerId, userId, extra), isHub: true };
}
