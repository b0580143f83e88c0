// Addresses of relays.

/** The port of `/ip4/HOST/tcp/PORT/...`. */
export function parsePort(address: string): number {
  return Number(address.split('/')[4]);
}
