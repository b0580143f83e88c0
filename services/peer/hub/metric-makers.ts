// Creates metrics in a registry. All series of a counter exist from the start, so that queries can distinguish zero from
// absent.
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

interface Description {
  readonly name: string;
  readonly help: string;
}

export function createMakers(registry: Registry) {
  const registers = [registry];
  return {
    /** A gauge that is read at scrape time. */
    gauge: (name: string, help: string, read: () => number): Gauge =>
      new Gauge({
        name,
        help,
        registers,
        collect() {
          this.set(read());
        },
      }),
    /** A series with the value 1 and these labels. */
    constant(name: string, help: string, labels: Readonly<Record<string, string>>): void {
      new Gauge({ name, help, labelNames: Object.keys(labels), registers }).set({ ...labels }, 1);
    },
    /** A counter with one label. */
    counter<Label extends string>(
      label: Label,
      values: Readonly<Record<string, unknown>>,
      description: Description,
    ): Counter<Label> {
      const created = new Counter({ ...description, labelNames: [label], registers });
      for (const value of Object.keys(values)) created.labels(value).inc(0);
      return created;
    },
    /** A counter without labels. */
    total: (name: string, help: string): Counter => new Counter({ name, help, registers }),
    histogram: (name: string, help: string, buckets: number[]): Histogram =>
      new Histogram({ name, help, buckets, registers }),
  };
}
