// Tests begin when the last two minutes that are answered have traffic: of routers that were pointed here just now that takes some three.
import type { FullConfig } from '@playwright/test';
import type { Answer } from '../app/api/types';

const PATIENCE_S = 300;

export default async function trafficIsThere(config: FullConfig): Promise<void> {
  const base = config.projects[0]?.use.baseURL ?? '';
  for (let waited = 0; waited < PATIENCE_S; waited += 1) {
    const reply = await fetch(`${base}/api/v1/query`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ last: '2m', by: ['connectivity'] }),
    }).catch(() => null);
    if (reply?.ok) {
      const { total } = (await reply.json()) as Answer;
      if (total.bytes_in > 0 && total.bytes_out > 0) return;
    }
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
  throw new Error(`${base} has no traffic after ${String(PATIENCE_S)} s`);
}
