// Where nodes and bands of a graph lie, by d3-sankey.
import { sankey, sankeyLinkHorizontal } from 'd3-sankey';
import { COLUMNS, nodeId, type Graph, type Node, type Path } from './fold';

/** Width of a node, and the least that lies between two: a line of text fits beside each. */
const NODE = { width: 12, apart: 18 };
const LEAST_HEIGHT = 380;

export interface Box {
  node: Node;
  x: number;
  y: number;
  width: number;
  height: number;
}

/** A path is two bands of one width: to its link, and from it. */
export interface Band {
  path: Path;
  line: string;
  width: number;
}

export interface Layout {
  height: number;
  boxes: Box[];
  bands: Band[];
}

/** `margin`: what is left free at both sides, for names. */
export function layout({ nodes, paths }: Graph, width: number, margin: number): Layout {
  const most = Math.max(...COLUMNS.map((column) => nodes.filter((node) => node.column === column).length));
  const height = Math.max(LEAST_HEIGHT, most * 2.2 * NODE.apart);
  const place = new Map(nodes.map((node, at) => [node.id, at]));
  const at = (id: string) => place.get(id) ?? 0;
  const bands = paths.flatMap((path) => {
    const [source, link, destination] = COLUMNS.map((column) => nodeId(column, path[column]));
    const halves = [[source, link], [link, destination]] as const;
    return halves.map(([from = '', to = '']) => ({ source: from, target: to, value: path.bytes, path }));
  });
  const laid = sankey<{ node: Node }, { path: Path }>()
    .nodeId(({ node }) => node.id)
    .nodeWidth(NODE.width)
    .nodePadding(NODE.apart)
    .nodeSort((one, other) => at(one.node.id) - at(other.node.id))
    .extent([[margin, NODE.apart / 2], [Math.max(width - margin, margin + 1), height - NODE.apart / 2]])({ nodes: nodes.map((node) => ({ node })), links: bands });
  const line = sankeyLinkHorizontal<{ node: Node }, { path: Path }>();
  return {
    height,
    boxes: laid.nodes.map(({ node, x0 = 0, x1 = 0, y0 = 0, y1 = 0 }) => ({ node, x: x0, y: y0, width: x1 - x0, height: Math.max(y1 - y0, 1) })),
    bands: laid.links.map((band) => ({ path: band.path, line: line(band) ?? '', width: Math.max(band.width ?? 0, 1) })),
  };
}
