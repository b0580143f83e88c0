// Makes X.509 certificates for tests, without another program: Node can read certificates, but not make them.
import { createPublicKey, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import { isIPv4 } from 'node:net';

const DAY_MS = 24 * 60 * 60 * 1_000;

/** Types of keys. */
export type KeyType = 'P-256' | 'RSA-2048' | 'RSA-4096';

export interface CertificateOptions {
  /** Host names and IPv4 addresses. Default: `localhost` and 127.0.0.1. */
  readonly names?: readonly string[];
  /** Default: P-256. */
  readonly keyType?: KeyType;
  /** The key, instead of a new one. */
  readonly key?: KeyObject;
  /** Default: signed by itself. */
  readonly issuer?: TestCertificate;
  /** Whether it may issue certificates. Default: only when it is signed by itself. */
  readonly isAuthority?: boolean;
  /** Default: one day before now. */
  readonly notBeforeUnixMs?: number;
  /** Default: one day after now. */
  readonly notAfterUnixMs?: number;
}

export interface TestCertificate {
  readonly privateKey: KeyObject;
  /** In PEM. */
  readonly cert: string;
  readonly key: string;
  /** The encoded name, for certificates that it issues. */
  readonly subject: Buffer;
}

export function makeCertificate(options: CertificateOptions = {}): TestCertificate {
  const { names = ['localhost', '127.0.0.1'], issuer, isAuthority = issuer === undefined } = options;
  const { notBeforeUnixMs = Date.now() - DAY_MS, notAfterUnixMs = Date.now() + DAY_MS } = options;
  const { privateKey, publicKey } = makeKeys(options);
  const subject = sequence(
    der(
      0x31,
      sequence(
        oid(COMMON_NAME),
        der(0x0c, Buffer.from(`test ${names[0]} ${randomBytes(4).toString('hex')}`)),
      ),
    ),
  );
  const signer = issuer?.privateKey ?? privateKey;
  const algorithm =
    signer.asymmetricKeyType === 'rsa' ? sequence(oid(RSA_SHA256), der(0x05)) : sequence(oid(ECDSA_SHA256));
  const content = sequence(
    der(0xa0, der(0x02, Buffer.of(2))),
    der(0x02, Buffer.concat([Buffer.of(1), randomBytes(8)])),
    algorithm,
    issuer?.subject ?? subject,
    sequence(time(notBeforeUnixMs), time(notAfterUnixMs)),
    subject,
    publicKey,
    der(0xa3, sequence(...extensions(names, isAuthority))),
  );
  const signature = sign('sha256', content, signer);
  const certificate = sequence(content, algorithm, der(0x03, Buffer.concat([Buffer.of(0), signature])));
  const body = certificate.toString('base64').replaceAll(/.{64}/g, '$&\n');
  return {
    privateKey,
    cert: `-----BEGIN CERTIFICATE-----\n${body.trim()}\n-----END CERTIFICATE-----\n`,
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
    subject,
  };
}

const COMMON_NAME = '550403';
const ECDSA_SHA256 = '2a8648ce3d040302';
const RSA_SHA256 = '2a864886f70d01010b';
const BASIC_CONSTRAINTS = '551d13';
const SUBJECT_ALT_NAME = '551d11';

function makeKeys({ key, keyType = 'P-256' }: CertificateOptions): {
  privateKey: KeyObject;
  publicKey: Buffer;
} {
  const format = { type: 'spki', format: 'der' } as const;
  const pair =
    keyType === 'P-256'
      ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
      : generateKeyPairSync('rsa', { modulusLength: Number(keyType.slice(4)) });
  if (key === undefined) return { privateKey: pair.privateKey, publicKey: pair.publicKey.export(format) };
  return { privateKey: key, publicKey: createPublicKey(key).export(format) };
}

function extensions(names: readonly string[], isAuthority: boolean): Buffer[] {
  const encoded = names.map((name) =>
    isIPv4(name) ? der(0x87, Buffer.from(name.split('.').map(Number))) : der(0x82, Buffer.from(name)),
  );
  const alternatives = sequence(oid(SUBJECT_ALT_NAME), der(0x04, sequence(...encoded)));
  const constraints = sequence(
    oid(BASIC_CONSTRAINTS),
    der(0x01, Buffer.of(0xff)),
    der(0x04, sequence(der(0x01, Buffer.of(0xff)))),
  );
  return isAuthority ? [constraints, alternatives] : [alternatives];
}

/** Encodes a value: its tag, its length and its parts. */
function der(tag: number, ...parts: Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  if (length < 0x80) return Buffer.concat([Buffer.of(tag, length), content]);
  return Buffer.concat([Buffer.of(tag, 0x82, length >> 8, length & 0xff), content]);
}

function sequence(...parts: Buffer[]): Buffer {
  return der(0x30, ...parts);
}

function oid(hex: string): Buffer {
  return der(0x06, Buffer.from(hex, 'hex'));
}

/** UTCTime, which has whole seconds. */
function time(unixMs: number): Buffer {
  const digits = new Date(unixMs).toISOString().replaceAll(/\D/g, '').slice(2, 14);
  return der(0x17, Buffer.from(`${digits}Z`));
}
