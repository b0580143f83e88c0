// The announcements that Syncthing devices send to their discovery server, as a proxy that ends TLS passes them on: with
// the client certificate in a header.
import { generateKeyPairSync } from 'node:crypto';
import { makeCertificate } from '../../testing/certificates.ts';

/** The announcements of this number of devices. Each repeats the same addresses, as Syncthing does. */
export function announcements(count: number, port: number): Buffer[] {
  // One key for all: the server knows a device by the hash of its certificate.
  const key = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
  return Array.from({ length: count }, (_, n) => {
    const { cert } = makeCertificate({ names: ['syncthing'], key });
    const host = `198.51.100.${1 + (n % 254)}`;
    const body = JSON.stringify({ addresses: [`quic://${host}:22000`, `tcp://${host}:22000`] });
    return Buffer.from(
      `POST /v2/ HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nUser-Agent: Go-http-client/1.1\r\n` +
        `Content-Length: ${body.length}\r\nContent-Type: application/json\r\nAccept-Encoding: gzip\r\n` +
        `X-Forwarded-For: ${host}\r\nX-SSL-Cert: ${cert.trim().replaceAll('\n', ' ')}\r\n\r\n${body}`,
      'latin1',
    );
  });
}
