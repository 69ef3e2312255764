import type { Spread } from './statistics.ts';

/** Three significant digits, and no fewer before the point. */
export function number(value: number): string {
  if (!Number.isFinite(value)) return '–';
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value) || 1)));
  return value.toFixed(Math.min(digits, 2)).replace(/\B(?=(\d{3})+(?!\d))/g, ',');
}

export function spread({ median, min, max }: Spread): string {
  return `${number(median)} (${number(min)}–${number(max)})`;
}

export function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}
