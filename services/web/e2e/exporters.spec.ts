import { AxeBuilder } from '@axe-core/playwright';
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

test('what is amiss is said in words, with the commands that mend it', async ({ page, context, request }) => {
  test.slow();
  await context.grantPermissions(['clipboard-read', 'clipboard-write']);
  const { exporters } = (await (await request.get('/api/v1/exporters')).json()) as Exporters;
  const one = exporters.find((each) => each.diagnoses.some((found) => found.code === 'no_as'));
  if (!one) throw new Error('no router of the generated network exports AS 0');
  await page.goto(`/exporters?open=${one.address}`);
  await settled(page);
  const row = page.getByRole('table', { name: 'Exporters' }).locator('> tbody > tr').filter({ hasText: one.address });
  await expect(row).toContainText('AS is always 0 in what it sends: BGP attributes are not downloaded to the FIB');
  const finding = page.getByRole('region', { name: /^To look at of / }).getByRole('listitem').filter({ hasText: 'AS is always 0' });
  await finding.getByText('What mends it').click();
  await expect(finding.getByRole('figure').filter({ hasText: 'IOS XR' })).toContainText('bgp attribute-download');
  const { violations } = await new AxeBuilder({ page }).analyze();
  expect(violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(' ')}`)).toEqual([]);
  await finding.getByRole('button', { name: 'Copy the commands for IOS XR' }).click();
  await expect(finding.getByRole('button', { name: /^Copied/ })).toBeVisible();
  expect(await page.evaluate(() => navigator.clipboard.readText())).toContain('router bgp 64500');
});

test('what was sent and what arrived is told for each port and domain', async ({ page, request }) => {
  const { exporters } = (await (await request.get('/api/v1/exporters')).json()) as Exporters;
  expect(exporters.every((one) => one.sessions.length > 0 && one.arrivals !== undefined)).toBe(true);
  const one = exporters[0];
  if (!one) throw new Error('there is no exporter');
  await page.route('**/api/v1/exporters', async (route) => {
    const response = await route.fetch();
    const all = (await response.json()) as Exporters;
    const session = all.exporters[0]?.sessions[0];
    if (session) Object.assign(session, { received: 900, missing: 100, unit: 'records' });
    await route.fulfill({ response, json: all });
  });
  await page.goto(`/exporters?open=${one.address}`);
  await settled(page);
  await expect(page.getByRole('table', { name: /Sent and arrived in the last hour/ }).getByRole('row').nth(1)).toContainText('10.0');
});

test('with no exporter the page says what to do', async ({ page }) => {
  await page.route('**/api/v1/exporters', (route) => route.fulfill({ json: { at: 0, exporters: [], left_out: 0 } }));
  await page.goto('/exporters');
  await expect(page.getByRole('heading', { name: 'No exporter has sent anything yet' })).toBeVisible();
});
