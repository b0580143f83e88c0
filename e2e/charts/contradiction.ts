/** Values of a chart that contradict each other, and a part of the message that rejects them. */
export type Contradiction = readonly [name: string, chart: string, values: object, message: string];
