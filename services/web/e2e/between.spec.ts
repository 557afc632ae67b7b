// From AS to AS: the drawing, its table, and where both lead.
import { readFile } from 'node:fs/promises';
import type { Answer, Request } from '../app/api/types';
import { bits, rate } from '../app/format';
import { expect, rows, settled, test } from './page';

const CHART = 'svg[aria-label^="Bands"]';

test('the table has what the API answers, in the direction that is asked for', async ({ page, request }) => {
  for (const direction of ['in', 'out'] as const) {
    await expect(async () => {
      const asked = page.waitForRequest((one) => one.postData()?.includes('other_as') ?? false);
      await page.goto(`/between?last=1h${direction === 'out' ? '&direction=out' : ''}`);
      const data = (await asked).postDataJSON() as Request;
      await settled(page);
      const answer = (await (await request.post('/api/v1/query', { data })).json()) as Answer;
      const found = answer.rows.filter((row) => row[`bytes_${direction}`] > 0);
      const shown = await rows(page);
      expect(shown.length).toBe(found.length);
      found.forEach((row, at) => {
        const names = direction === 'in' ? row.keys : [...row.keys].reverse();
        for (const text of [...names, bits(rate(row[`bytes_${direction}`], answer.seconds))]) expect(shown[at]).toContain(text);
        expect(shown[at]?.indexOf(names[0] ?? '')).toBe(0);
      });
    }).toPass({ timeout: 20_000 });
  }
});

test('the direction is in the address, and going back has the one before', async ({ page }) => {
  await page.goto('/between?last=1h');
  await settled(page);
  await page.getByRole('button', { name: 'Out', exact: true }).click();
  await expect(page).toHaveURL('/between?last=1h&direction=out');
  await settled(page);
  await page.goBack();
  await expect(page.getByRole('button', { name: 'In', exact: true })).toHaveAttribute('aria-pressed', 'true');
});

test('a band that is pointed at tells its rate, and so does an AS that has the focus', async ({ page }) => {
  await page.goto('/between?last=1h');
  await settled(page);
  const chart = page.getByRole('region', { name: 'Chart' });
  await expect(chart).toContainText('Point at a band');
  await chart.locator(`${CHART} path`).first().dispatchEvent('pointerenter');
  await expect(chart.locator('p')).toContainText(/ → .* → .*: .*bit\/s, .*%/);
  await chart.locator(`${CHART} path`).first().dispatchEvent('pointerleave');
  await chart.getByRole('link').first().focus();
  await expect(chart.locator('p')).toContainText(/^AS\d+.*: .*bit\/s, .*%$/);
});

test('an AS leads to its page and a link to its traffic, by keyboard too, without loading all again', async ({ page }) => {
  await page.goto('/between?last=1h');
  await settled(page);
  await page.evaluate(() => Reflect.set(window, 'same', true));
  const as = page.locator(CHART).getByRole('link', { name: /^AS\d+.*source/ }).first();
  const asn = /^AS(\d+)/.exec((await as.getAttribute('aria-label')) ?? '')?.[1] ?? '';
  await as.focus();
  await page.keyboard.press('Enter');
  await expect(page).toHaveURL(`/as/${asn}?last=1h`);
  await page.goBack();
  await settled(page);
  await page.locator(CHART).getByRole('link', { name: /, link: / }).first().click();
  await expect(page).toHaveURL(/\/\?last=1h&direction=in&filter=link/);
  await settled(page);
  expect(await page.evaluate(() => Reflect.get(window, 'same'))).toBe(true);
});

test('the CSV has all paths, of the time that is shown', async ({ page, request }) => {
  await expect(async () => {
    await page.goto('/between?last=1h');
    await settled(page);
    const asked = page.waitForRequest((one) => one.headers()['accept'] === 'text/csv');
    const downloading = page.waitForEvent('download');
    await page.getByRole('button', { name: 'Download CSV' }).click();
    const data = (await asked).postDataJSON() as Request;
    const file = await downloading;
    expect(file.suggestedFilename()).toMatch(/^weir-as-to-as-.*\.csv$/);
    const text = await readFile(await file.path(), 'utf8');
    expect(text.startsWith('as,link,other_as,bytes_in,bytes_out,')).toBe(true);
    expect(text).toBe(await (await request.post('/api/v1/query', { data, headers: { accept: 'text/csv' } })).text());
  }).toPass({ timeout: 25_000 });
});

test('bands are reached with a keyboard, and arrow keys go from one to the next', async ({ page }) => {
  await page.goto('/between?last=1h');
  await settled(page);
  const told = page.getByRole('region', { name: 'Chart' }).locator('p');
  await page.getByRole('button', { name: 'Apply' }).focus();
  await page.keyboard.press('Tab');
  await expect(page.getByRole('group', { name: /^Bands, the largest first/ })).toBeFocused();
  await expect(told).toContainText(/ → .* → .*: .*bit\/s, .*%/);
  const largest = await told.innerText();
  await page.keyboard.press('ArrowDown');
  await expect(told).not.toHaveText(largest);
  await expect(told).toContainText(' → ');
  await page.keyboard.press('ArrowUp');
  await expect(told).toHaveText(largest);
});

test('on a small screen the table is all there is, and its numbers are on the screen', async ({ page }) => {
  await page.setViewportSize({ width: 375, height: 812 });
  await page.goto('/between?last=1h');
  await settled(page);
  await expect(page.locator(CHART)).toBeHidden();
  const table = page.getByRole('table', { name: 'Traffic from AS to AS, by link' });
  const rate = table.locator('tbody tr').first().getByText('bit/s');
  await expect(rate).toBeInViewport();
  const box = await rate.boundingBox();
  expect((box?.x ?? 0) + (box?.width ?? Infinity)).toBeLessThanOrEqual(375);
});

test.describe('errors', () => {
  test.use({ expected: [/Failed to load resource/] });

  test('what is kept elsewhere can not be asked with it, and the page says what to do', async ({ page }) => {
    await page.goto('/between?last=1h&filter=neighbour+%3D+174');
    await expect(page.getByRole('alert')).toContainText('Take neighbour out of the filter');
    await expect(page.getByRole('link', { name: 'Traffic by AS with this filter' })).toHaveAttribute('href', '/?last=1h&filter=neighbour+%3D+174');
    await page.getByRole('alert').getByRole('button', { name: 'Clear the filter' }).click();
    await expect(page).toHaveURL('/between?last=1h');
    await settled(page);
    await page.goto('/between?last=1h&filter=famly+%3D+4');
    await expect(page.getByRole('alert').locator('mark')).toHaveText('famly');
  });
});
