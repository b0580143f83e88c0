// The Certificate of cert-manager, as far as the charts use it, for the validation of rendered objects.

export interface ICertificate {
  readonly apiVersion: 'cert-manager.io/v1';
  readonly kind: 'Certificate';
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec: {
    readonly secretName: string;
    readonly dnsNames: readonly string[];
    readonly privateKey: {
      readonly algorithm: 'ECDSA' | 'RSA' | 'Ed25519';
      readonly size: number;
      readonly rotationPolicy: 'Always' | 'Never';
    };
    readonly issuerRef: {
      readonly group: string;
      readonly kind: 'Issuer' | 'ClusterIssuer';
      readonly name: string;
    };
  };
}
