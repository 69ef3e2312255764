import { type EChartsOption, init } from 'echarts';
import type { Plot } from './section.ts';

const width = 860;

/** A plot as SVG text. */
export function plotSvg(plot: Plot): string {
  const bars = plot.kind === 'bars';
  const height = bars ? 130 + 34 * plot.along.length : 420;
  const chart = init(null, null, { renderer: 'svg', ssr: true, width, height });
  chart.setOption(bars ? barsOf(plot) : linesOf(plot));
  const svg = chart.renderToSVGString();
  chart.dispose();
  return svg;
}

/** Contenders below each other, the first one on top; what they are made of, stacked. */
function barsOf({ title, unit, along, series }: Plot): EChartsOption {
  return {
    ...common(title),
    grid: { left: 270, right: 60, top: 80, bottom: 50 },
    xAxis: { type: 'value', name: unit, nameLocation: 'middle', nameGap: 30 },
    yAxis: { type: 'category', data: [...along], inverse: true },
    series: series.map(({ name, values }) => ({ name, type: 'bar', stack: 'all', data: [...values] })),
  };
}

function linesOf({ title, unit, along, series }: Plot): EChartsOption {
  return {
    ...common(title),
    grid: { left: 80, right: 40, top: 90, bottom: 50 },
    xAxis: { type: 'category', data: [...along], name: 'sockets', nameLocation: 'middle', nameGap: 30 },
    yAxis: { type: 'value', name: unit, nameLocation: 'middle', nameGap: 45 },
    series: series.map(({ name, values }) => ({
      name,
      type: 'line',
      // What was not measured is a gap.
      data: values.map((value) => (Number.isNaN(value) ? null : value)),
    })),
  };
}

function common(title: string): EChartsOption {
  return {
    animation: false,
    backgroundColor: '#ffffff',
    title: { text: title, left: 'center' },
    legend: { top: 46 },
  };
}
