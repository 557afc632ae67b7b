import { readFile } from 'node:fs/promises';
import type { Page } from '@playwright/test';
import type { Candidates } from '../app/api/types';
import { expect, rows, settled, test } from './page';

/** Changes where to peer on its way to the page. */
async function amend(page: Page, change: (all: Candidates) => void): Promise<void> {
  await page.route('**/api/v1/candidates*', async (route) => {
    const response = await route.fetch();
    const all = (await response.json()) as Candidates;
    change(all);
    await route.fulfill({ response, json: all });
  });
}

test('ASes are listed by what they save, and each opens to its transits', async ({ page, request }) => {
  await page.goto('/peer?last=7d');
  await settled(page);
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Where to peer');
  const all = (await (await request.get('/api/v1/candidates?last=7d')).json()) as Candidates;
  expect((await rows(page)).length).toBe(all.candidates.length);
  await page.getByRole('button', { name: /^Transits of AS/ }).first().click();
  await expect(page).toHaveURL(/open=\d+$/);
  const transits = page.getByRole('table', { name: /^AS\d+ by transit$/ });
  await expect(transits).toContainText('P95(T − M)');
  await expect(transits.locator('tbody tr').first()).toContainText(/Arelion|Lumen/);
  await page.getByRole('table', { name: /on transit$/ }).getByRole('link').first().click();
  await expect(page).toHaveURL(/\/as\/\d+/);
});

test('the page begins with a day, and says what its 95ths are of', async ({ page }) => {
  await page.goto('/peer');
  await settled(page);
  await expect(page.getByRole('button', { name: '24 h' })).toHaveAttribute('aria-pressed', 'true');
  await expect(page.getByText(/Each 95th here is of 1\sd; a bill's is of a calendar month/)).toBeVisible();
  await page.getByRole('button', { name: '7 d' }).click();
  await expect(page).toHaveURL('/peer?last=7d');
  await expect(page.getByText(/Each 95th here is of 7\sd/)).toBeVisible();
});

test('columns sort either way, and the address has it', async ({ page }) => {
  await page.goto('/peer?last=7d');
  await settled(page);
  await page.getByRole('button', { name: 'In', exact: true }).click();
  await expect(page).toHaveURL('/peer?last=7d&sort=in');
  await expect(page.getByRole('columnheader', { name: 'In', exact: true })).toHaveAttribute('aria-sort', 'descending');
  const [first] = await rows(page);
  await page.getByRole('button', { name: 'In', exact: true }).click();
  await expect(page).toHaveURL('/peer?last=7d&sort=in&order=up');
  expect((await rows(page))[0]).not.toBe(first);
});

test('what is hidden and noted stays in this browser', async ({ page }) => {
  await page.goto('/peer?last=7d');
  await settled(page);
  const before = (await rows(page)).length;
  await page.getByRole('button', { name: /^Transits of AS/ }).first().click();
  await page.getByLabel(/^Note on AS/).fill('asked in November');
  await page.getByLabel(/^Note on AS/).press('Tab');
  await expect(page.locator('tbody th').first()).toContainText('asked in November');
  await page.getByRole('button', { name: /^Hide it here/ }).click();
  await expect(page.locator('main table').first().locator('tbody > tr > th[scope=row] a')).toHaveCount(before - 1);
  await page.reload();
  await page.getByRole('button', { name: 'Show 1 hidden in this browser' }).click();
  await expect(page.getByText('asked in November').first()).toBeVisible();
});

test('a name is text on the page and no formula in the CSV, and what few samples decide is marked', async ({ page }) => {
  const name = '=1+1,<img src=x onerror="document.title=1">';
  await amend(page, ({ candidates }) => {
    const one = candidates[0];
    const transit = one?.transits[0];
    if (!one || !transit) throw new Error('there is no AS to peer with');
    Object.assign(one, { name, saved: 37_500_000_000, met: [{ link: name, connectivity: 'ix', bytes_in: 1, bytes_out: 1 }] });
    Object.assign(transit, { saved: 37_500_000_000, rough: true });
  });
  await page.goto('/peer?last=7d');
  await settled(page);
  const first = page.locator('tbody tr').first();
  await expect(first).toContainText(name);
  await expect(first).toContainText(/few samples, about\s1\.00\sGbit\/s/);
  await page.getByRole('button', { name: /^Transits of AS/ }).first().click();
  await expect(page.getByText('then why does it still come over transit?')).toBeVisible();
  expect(await page.locator('main img').count()).toBe(0);
  const downloading = page.waitForEvent('download');
  await page.getByRole('button', { name: 'Download CSV' }).click();
  const file = await downloading;
  expect(file.suggestedFilename()).toMatch(/^weir-peer-.*\.csv$/);
  expect((await readFile(await file.path(), 'utf8')).split('\r\n')[1]).toContain(`,"'=1+1,<img src=x onerror=""document.title=1"">",37500000000,1000000000,true,`);
});

test('with nothing over transit the page leads to the links', async ({ page }) => {
  await amend(page, (all) => (all.candidates = []));
  await page.goto('/peer');
  await page.getByRole('link', { name: 'say what the links are' }).click();
  await expect(page).toHaveURL('/links');
});

test.describe('errors', () => {
  test.use({ expected: [/Failed to load resource/] });

  test('what is wrong with a filter is said in its place', async ({ page }) => {
    await page.goto('/peer?last=7d&filter=famly+%3D+4');
    await expect(page.getByRole('alert').locator('mark')).toHaveText('famly');
    await page.getByRole('button', { name: 'Write family' }).click();
    await settled(page);
  });
});
