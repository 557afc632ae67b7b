// How uPlot draws the layers: steps, because a slot has one value; and what can still grow is hatched and named.
import uPlot from 'uplot';
import { mark } from '../format';
import { clock, day, type Zone } from '../zone';
import { stacked, type Layers } from './layers';
import type { Direction } from '../traffic/state';

export interface Look {
  layers: Layers;
  direction: Direction;
  zone: Zone;
  /** What can still grow. */
  growing: { from: number; to: number };
  zoom: (from: number, to: number) => void;
  point: (slot: number | null) => void;
}

function colour(element: Element, value: string): string {
  const name = /^var\((--[a-z]+)\)$/.exec(value)?.[1];
  return name ? getComputedStyle(element).getPropertyValue(name).trim() : value;
}

/** A colour, or that colour hatched. */
function filled(hatched: boolean, ink: string, ground: string): string | CanvasPattern {
  const tile = document.createElement('canvas');
  const size = Math.round(6 * devicePixelRatio);
  tile.width = tile.height = size;
  const pen = tile.getContext('2d');
  if (!hatched || !pen) return ink;
  pen.fillStyle = ink;
  pen.fillRect(0, 0, size, size);
  pen.strokeStyle = ground;
  pen.globalAlpha = 0.7;
  pen.lineWidth = size / 4;
  for (const x of [-size, 0, size]) {
    pen.moveTo(x - 1, size + 1);
    pen.lineTo(x + size + 1, -1);
  }
  pen.stroke();
  return pen.createPattern(tile, 'repeat') ?? ink;
}

export function data(look: Look): uPlot.AlignedData {
  // A step reaches to the next border, so the last value stands twice.
  const twice = (heights: number[]) => [...heights, heights.at(-1) ?? 0];
  return [look.layers.borders, ...stacked(look.layers, look.direction).map(({ heights }) => twice(heights))];
}

function times(zone: Zone): uPlot.Axis.DynamicValues {
  return (_, splits, __, ___, step) =>
    splits.map((at, place) => {
      const dated = step >= 86_400 || place === 0 || clock(at, zone) === '00:00';
      if (step >= 86_400) return day(at, zone);
      return dated ? `${clock(at, zone)}\n${day(at, zone)}` : clock(at, zone);
    });
}

function hatched({ from, to }: Look['growing'], ground: string, ink: string): (plot: uPlot) => void {
  return (plot) => {
    const { ctx, bbox } = plot;
    const right = Math.min(plot.valToPos(to, 'x', true), bbox.left + bbox.width);
    const left = Math.max(plot.valToPos(from, 'x', true), bbox.left);
    if (right - left < 1) return;
    ctx.save();
    ctx.beginPath();
    ctx.rect(left, bbox.top, right - left, bbox.height);
    ctx.clip();
    ctx.globalAlpha = 0.55;
    ctx.fillStyle = ground;
    ctx.fillRect(left, bbox.top, right - left, bbox.height);
    ctx.globalAlpha = 0.5;
    ctx.strokeStyle = ink;
    ctx.lineWidth = devicePixelRatio;
    for (let x = left - bbox.height; x < right; x += 7 * devicePixelRatio) {
      ctx.moveTo(x, bbox.top + bbox.height);
      ctx.lineTo(x + bbox.height, bbox.top);
    }
    ctx.stroke();
    ctx.restore();
    ctx.save();
    ctx.fillStyle = ink;
    ctx.textAlign = 'right';
    ctx.textBaseline = 'top';
    ctx.font = `${String(12 * devicePixelRatio)}px system-ui, sans-serif`;
    ctx.fillText('still growing', right - 4 * devicePixelRatio, bbox.top + 4 * devicePixelRatio);
    ctx.restore();
  };
}

export function options(look: Look, element: HTMLElement): uPlot.Options {
  const [soft, line, panel] = [colour(element, 'var(--soft)'), colour(element, 'var(--line)'), colour(element, 'var(--panel)')];
  const steps = uPlot.paths.stepped?.({ align: 1 });
  const font = '12px system-ui, sans-serif';
  const axis = { stroke: soft, font, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1, size: 4 } };
  const { borders } = look.layers;
  return {
    width: element.clientWidth,
    height: element.clientHeight,
    padding: [8, 24, 0, 0],
    legend: { show: false },
    tzDate: (at) => (look.zone === 'utc' ? uPlot.tzDate(new Date(at * 1000), 'Etc/UTC') : new Date(at * 1000)),
    scales: {
      x: { range: [borders[0] ?? 0, look.layers.to] },
      y: { range: (_, low, high) => room(low, high) },
    },
    axes: [
      { ...axis, values: times(look.zone), space: 64, size: 42 },
      { ...axis, size: 80, values: (_, splits) => splits.map((value) => mark(Math.abs(value))) },
    ],
    series: [
      {},
      ...stacked(look.layers, look.direction).map(({ layer }) => ({
        label: layer.name,
        fill: filled(layer.paint.hatched, colour(element, layer.paint.colour), panel),
        stroke: panel,
        width: 0.75,
        points: { show: false },
        ...(steps ? { paths: steps } : {}),
      })),
    ],
    cursor: { y: false, points: { show: false }, drag: { x: true, y: false, setScale: false } },
    hooks: {
      draw: [axisLine(soft), hatched(look.growing, panel, soft)],
      setSelect: [
        (plot) => {
          const { left, width } = plot.select;
          if (width < 4) return;
          plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
          look.zoom(plot.posToVal(left, 'x'), plot.posToVal(left + width, 'x'));
        },
      ],
      setCursor: [
        (plot) => {
          const { left } = plot.cursor;
          const inside = left !== undefined && left >= 0;
          look.point(inside ? slotAt(borders, plot.posToVal(left, 'x')) : null);
        },
      ],
    },
  };
}

function room(low: number | null, high: number | null): uPlot.Range.MinMax {
  const [below, above] = [Math.min(low ?? 0, 0) * 1.06, Math.max(high ?? 0, 0) * 1.06];
  return below === 0 && above === 0 ? [0, 1000] : [below, above];
}

function axisLine(ink: string): (plot: uPlot) => void {
  return ({ ctx, bbox, valToPos }) => {
    const y = Math.round(valToPos(0, 'y', true));
    ctx.save();
    ctx.strokeStyle = ink;
    ctx.lineWidth = devicePixelRatio;
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
    ctx.restore();
  };
}

/** The slot that a time lies in. */
export function slotAt(borders: readonly number[], time: number): number | null {
  const next = borders.findIndex((border) => border > time);
  return next <= 0 ? null : next - 1;
}
