import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { makeCertificate, type TestCertificate } from '../../../testing/certificates.ts';
import { cleanUp } from '../../../testing/cleanup.ts';
import { makeDirectory } from '../../../testing/peer.ts';
import { ConfigError } from '../../shared/errors.ts';
import { type CertificateFiles, readCertificate } from './certificate.ts';

const DAY_MS = 24 * 60 * 60 * 1_000;
const NOW_MS = Date.UTC(2026, 10, 28, 12);

let files: CertificateFiles;
beforeEach(() => {
  const directory = makeDirectory();
  files = { certPath: join(directory, 'tls.crt'), keyPath: join(directory, 'tls.key') };
});
afterEach(cleanUp);

const around = { notBeforeUnixMs: NOW_MS - DAY_MS, notAfterUnixMs: NOW_MS + DAY_MS };
const authority = makeCertificate({ ...around, names: ['authority'] });
const intermediate = makeCertificate({
  ...around,
  names: ['intermediate'],
  issuer: authority,
  isAuthority: true,
});
const leaf = makeCertificate({
  ...around,
  names: ['tracker.example.org', '192.0.2.1'],
  issuer: intermediate,
});

function write(cert: string, key: string): void {
  writeFileSync(files.certPath, cert);
  writeFileSync(files.keyPath, key);
}

function writePair({ cert, key }: TestCertificate): void {
  write(cert, key);
}

function problems(): readonly string[] {
  try {
    readCertificate(files, NOW_MS);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

describe('a certificate', () => {
  test('is read with its chain', () => {
    write(leaf.cert + intermediate.cert, leaf.key);
    expect(readCertificate(files, NOW_MS)).toMatchObject({
      summary: {
        names: 'DNS:tracker.example.org, IP Address:192.0.2.1',
        keyType: 'EC prime256v1',
        certificates: 2,
        notAfter: '2026-11-29T12:00:00.000Z',
      },
      notBeforeUnixMs: around.notBeforeUnixMs,
      notAfterUnixMs: around.notAfterUnixMs,
    });
  });

  test('expires when the first certificate of its chain does', () => {
    const notAfterUnixMs = NOW_MS + 1_000;
    const short = makeCertificate({ ...around, notAfterUnixMs, issuer: authority, isAuthority: true });
    const issued = makeCertificate({ ...around, issuer: short });
    write(issued.cert + short.cert, issued.key);
    expect(readCertificate(files, NOW_MS)).toMatchObject({ notAfterUnixMs });
  });

  test('that has not changed is not parsed again', () => {
    writePair(leaf);
    const first = readCertificate(files, NOW_MS);
    writePair(leaf);
    expect(readCertificate(files, NOW_MS, first)).toBe(first);
  });

  test('can have text before it, as some tools write it', () => {
    write(`Bag Attributes\n  friendlyName: tracker\n${leaf.cert}`, leaf.key);
    expect(problems()).toEqual([]);
  });
});

describe('the problem of', () => {
  test('files that do not exist names both', () => {
    expect(problems()).toEqual([
      expect.stringMatching(/^TRACKER_TLS_CERT_FILE: .*tls\.crt: cannot be read: .*ENOENT.*\.$/),
      expect.stringMatching(/^TRACKER_TLS_KEY_FILE: .*tls\.key: cannot be read: .*ENOENT.*\.$/),
    ]);
  });

  test.each<[string, () => void, RegExp]>([
    ['an empty certificate file', () => write('', leaf.key), /CERT_FILE: .*contains no certificate in PEM/],
    ['an empty key file', () => write(leaf.cert, ''), /KEY_FILE: .*contains no private key in PEM/],
    [
      'a key in place of the certificate',
      () => write(leaf.key, leaf.key),
      /CERT_FILE: .*no certificate in PEM/,
    ],
    ['a certificate in place of the key', () => write(leaf.cert, leaf.cert), /KEY_FILE: .*no private key/],
    [
      'a certificate that is cut off',
      () => write(`${leaf.cert.slice(0, 200)}\n-----END CERTIFICATE-----\n`, leaf.key),
      /CERT_FILE: .*Certificate 1 of the file cannot be read/,
    ],
    [
      'a second certificate that is damaged',
      () => write(leaf.cert + leaf.cert.replace('MII', 'AII'), leaf.key),
      /CERT_FILE: .*Certificate 2 of the file cannot be read/,
    ],
    [
      'a key that is cut off',
      () => write(leaf.cert, `${leaf.key.slice(0, 80)}\n-----END PRIVATE KEY-----\n`),
      /KEY_FILE: .*The key cannot be read/,
    ],
    [
      'an encrypted key',
      () =>
        write(
          leaf.cert,
          leaf.privateKey.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' }),
        ),
      /KEY_FILE: .*The key is encrypted\. Store it without a passphrase/,
    ],
    [
      'a key of another certificate',
      () => write(leaf.cert, authority.key),
      /KEY_FILE: .*does not belong to the certificate in .*tls\.crt/,
    ],
    [
      'a chain in the wrong order',
      () => write(intermediate.cert + leaf.cert, leaf.key),
      /KEY_FILE: .*Put the certificate of the tracker first/,
    ],
    [
      'a file with all authorities',
      () => write(leaf.cert.repeat(11), leaf.key),
      /CERT_FILE: .*11 certificates; the maximum is 10/,
    ],
    [
      'a file that is too large',
      () => write(leaf.cert.padEnd(300_000), leaf.key),
      /CERT_FILE: .*larger than 262144 bytes/,
    ],
  ])('%s is a whole sentence without the key', (_, prepare, expected) => {
    prepare();
    const found = problems();
    expect(found.join('\n')).toMatch(expected);
    for (const problem of found) {
      expect(problem).toMatch(/^TRACKER_TLS_(CERT|KEY)_FILE: \/.*\.$/);
      expect(problem).not.toContain(leaf.key.split('\n')[1]);
    }
  });
});

function warnings(): readonly string[] {
  return readCertificate(files, NOW_MS).warnings;
}

describe('a warning', () => {
  test('of an expired certificate has the date', () => {
    writePair(makeCertificate({ ...around, notAfterUnixMs: NOW_MS - 1_000 }));
    expect(warnings()).toContainEqual(expect.stringContaining('expired on 2026-11-28T11:59:59.000Z'));
  });

  test('of a certificate that is not valid yet has the date', () => {
    writePair(makeCertificate({ ...around, notBeforeUnixMs: NOW_MS + 1_000 }));
    expect(warnings()).toContainEqual(expect.stringContaining('not valid before 2026-11-28T12:00:01.000Z'));
  });

  test.each(['RSA-4096', 'RSA-2048', 'P-256'] as const)(
    'of a slow key exists only above RSA-2048: %s',
    (keyType) => {
      writePair(makeCertificate({ ...around, keyType }));
      const slow = warnings().filter((warning) => warning.includes('makes every handshake slow'));
      expect(slow).toHaveLength(keyType === 'RSA-4096' ? 1 : 0);
    },
  );

  test('of a long chain exists', () => {
    const chain = [authority];
    for (let depth = 0; depth < 3; depth += 1)
      chain.unshift(makeCertificate({ ...around, issuer: chain[0] ?? authority, isAuthority: true }));
    const [first = authority] = chain;
    write(chain.map(({ cert }) => cert).join(''), first.key);
    expect(warnings()).toContainEqual(expect.stringContaining('The chain has 4 certificates'));
  });

  test('of a certificate that did not issue the one before it exists', () => {
    write(leaf.cert + authority.cert, leaf.key);
    expect(warnings()).toContainEqual(
      expect.stringContaining('Certificate 2 of the file did not issue certificate 1'),
    );
  });

  test('of a private authority exists, because rr accepts only public ones', () => {
    write(leaf.cert + intermediate.cert, leaf.key);
    expect(warnings()).toEqual([
      expect.stringMatching(/^TRACKER_TLS_CERT_FILE: \/.*: No public certificate authority issued/),
    ]);
  });
});
