import type { Exporters } from '../app/api/types';
import { expect, settled, test } from './page';

test('exporters are listed with what is known of them, and each opens', async ({ page, request }) => {
  await page.goto('/exporters');
  await settled(page);
  const { exporters } = (await (await request.get('/api/v1/exporters')).json()) as Exporters;
  const table = page.getByRole('table', { name: 'Exporters' });
  await expect(table.locator('> tbody > tr')).toHaveCount(exporters.length);
  const one = exporters[0];
  if (!one) throw new Error('there is no exporter');
  const row = table.locator('> tbody > tr').filter({ hasText: one.address });
  await expect(row).toContainText(/(NetFlow v\d|IPFIX|sFlow v5)/);
  await expect(row).toContainText('ago');
  await row.getByRole('button').click();
  await expect(page).toHaveURL(/open=/);
  await expect(page.getByRole('table', { name: /where their packets were observed/ })).toContainText(one.observed[0]?.name ?? '');
});

test('what is amiss is said in words', async ({ page }) => {
  await page.route('**/api/v1/exporters', async (route) => {
    const response = await route.fetch();
    const all = (await response.json()) as Exporters;
    const one = all.exporters[0];
    if (!one) throw new Error('there is no exporter');
    const observed = { description: '', elsewhere: 5, unknown: 0 };
    one.name = '<img src=x onerror="document.title=1">';
    one.observed = [
      { ...observed, if_index: 1, name: 'et-0/0/0', ingress: 5, egress: 5 },
      { ...observed, if_index: 2, name: 'et-0/0/1', ingress: 5, egress: 0 },
    ];
    await route.fulfill({ response, json: all });
  });
  await page.goto('/exporters');
  await settled(page);
  await expect(page.locator('tbody tr').first()).toContainText('No egress sampling seen on et-0/0/1 within a day');
  expect(await page.locator('main img').count()).toBe(0);
});

test('with no exporter the page says what to do', async ({ page }) => {
  await page.route('**/api/v1/exporters', (route) => route.fulfill({ json: { at: 0, exporters: [], left_out: 0 } }));
  await page.goto('/exporters');
  await expect(page.getByRole('heading', { name: 'No exporter has sent anything yet' })).toBeVisible();
});
