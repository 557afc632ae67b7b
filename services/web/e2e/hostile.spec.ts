// Names that are attacks stay text on every page: no script of theirs runs, no dialog opens, and what they look like is not made. That it is the
// page's own doing and not its policy's shows in the console, which has what the policy had to forbid.
import type { Page, Route } from '@playwright/test';
import hostile from '../../api/tests/hostile.json' with { type: 'json' };
import { aside, links, takeBack } from './aside';
import { expect, settled, test } from './page';

const ALL = [...hostile.html, ...hostile.formula, ...hostile.sql, ...hostile.other];
/** Fields of answers that routers, databases and people fill. */
const NAMED = new Set(['name', 'exporter_name', 'description', 'provider', 'link', 'because', 'keys', 'detail', 'title']);

/** The answer, with every name in it one of these. */
function named(json: unknown, next: () => string, within = ''): unknown {
  if (typeof json === 'string') return NAMED.has(within) && json !== '' ? next() : json;
  if (Array.isArray(json)) return json.map((one) => named(one, next, within));
  if (json === null || typeof json !== 'object') return json;
  return Object.fromEntries(Object.entries(json).map(([key, value]) => [key, named(value, next, key)]));
}

async function harmless(page: Page): Promise<void> {
  expect(await page.evaluate(() => 'hostile' in window)).toBe(false);
  expect(await page.locator(':is(main, header, footer) :is(script, iframe, img, style, math, [onerror], [onload], a[href^="javascript:"])').count()).toBe(0);
}

test.beforeEach(({ page }) => {
  page.on('dialog', (dialog) => {
    throw new Error(`a dialog opened: ${dialog.message()}`);
  });
});

for (const path of ['/?last=1h', '/?last=1h&by=neighbour', '/as/15169?last=1h', '/between?last=1h', '/peer', '/links', '/exporters']) {
  test(`names are text at ${path}`, async ({ page }) => {
    test.slow();
    let at = 0;
    const shown = new Set<string>();
    const next = () => {
      // Rows go by their names, and no two of them have the same.
      const round = Math.floor(at / ALL.length);
      const one = `${ALL[at++ % ALL.length] ?? ''}${round === 0 ? '' : ` ${String(round)}`}`;
      shown.add(one);
      return one;
    };
    const answer = async (route: Route) => {
      const response = await route.fetch();
      await route.fulfill({ response, json: named(await response.json(), next) });
    };
    for (const asked of ['query', 'asns/*', 'links', 'candidates*', 'exporters']) await page.route(`**/api/v1/${asked}`, answer);
    await page.goto(path);
    await settled(page);
    await harmless(page);
    const expander = page.locator('tbody button[aria-expanded]').first();
    if (await expander.isVisible()) {
      await expander.click();
      await expect(page.locator('tbody table').first()).toBeVisible();
      await harmless(page);
    }
    const text = (await page.locator('main').textContent()) ?? '';
    expect(shown.size).toBeGreaterThan(0);
    expect([...shown].some((one) => text.includes(one))).toBe(true);
    // What is still asked for is nobody's any more.
    await page.unrouteAll({ behavior: 'ignoreErrors' });
  });
}

test('what a person says is kept and shown as it is, also in an address', async ({ page, request }) => {
  test.slow();
  const member = await aside(request, 'e2e-hostile', 3);
  const name = hostile.html[1] ?? '';
  const data = { name, provider: hostile.html[0], connectivity: 'customer', members: [{ exporter: member.exporter, if_index: member.if_index }] };
  try {
    expect((await request.put('/api/v1/links/e2e-hostile', { data })).status()).toBe(200);
    expect((await links(request)).links.find((link) => link.id === 'e2e-hostile')).toMatchObject({ name, provider: hostile.html[0] });
    await page.goto('/links');
    await settled(page);
    await expect(page.getByRole('table', { name: 'Links' }).getByRole('rowheader', { name })).toBeVisible();
    await harmless(page);
    await page.goto(`/?last=1h&connectivity=customer&filter=${encodeURIComponent(`link = ${JSON.stringify(name)}`)}`);
    await settled(page);
    await expect(page.getByLabel('Filter')).toHaveValue(`link = ${JSON.stringify(name)}`);
    await expect(page.locator('tfoot tr').last()).toContainText('bit/s');
    await harmless(page);
  } finally {
    await takeBack(request, 'e2e-hostile');
  }
});

test.describe('errors', () => {
  test.use({ expected: [/Failed to load resource/] });

  test('what an address asks for is text in what is wrong with it', async ({ page }) => {
    for (const text of [...hostile.html, ...hostile.sql].slice(0, 20)) {
      await page.goto(`/?last=1h&filter=${encodeURIComponent(text)}`);
      await expect(page.locator('[aria-busy="false"]').first()).toBeVisible();
      await harmless(page);
    }
  });
});
