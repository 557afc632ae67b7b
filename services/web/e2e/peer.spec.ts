import { readFile } from 'node:fs/promises';
import type { Page } from '@playwright/test';
import type { Candidates } from '../app/api/types';
import { stamp } from '../app/zone';
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

test('the page begins with 30 days, and says what its 95ths are of where less is stored', async ({ page, request }) => {
  await page.goto('/peer?zone=utc');
  await settled(page);
  await expect(page.getByRole('button', { name: '30 d' })).toHaveAttribute('aria-pressed', 'true');
  const { stored_from: stored } = (await (await request.get('/api/v1/candidates')).json()) as Candidates;
  await expect(page.getByText(`since ${stamp(stored ?? 0, 'utc')}, when the first flows were stored; a bill's is of a calendar month`)).toBeVisible();
  await expect(page.getByText('is stored, so there is no trend')).toBeVisible();
  // Of 30 days the 95th of a few hours would be nothing.
  await expect(page.locator('tbody td').first()).toContainText(/[1-9].*bit\/s/);
});

test('months are asked for as months', async ({ page }) => {
  await page.goto('/peer');
  await settled(page);
  const asked = page.waitForRequest((one) => one.url().includes('/candidates?'));
  await page.getByRole('button', { name: 'Last month' }).click();
  await expect(page).toHaveURL('/peer?month=last');
  const search = new URL((await asked).url()).searchParams;
  const now = new Date();
  const local = (time: string | null) => new Intl.DateTimeFormat('en-GB', { timeZone: 'Europe/Vienna', dateStyle: 'short', timeStyle: 'short' }).format(new Date(time ?? ''));
  expect([local(search.get('from')), local(search.get('to'))].map((one) => one.slice(0, 2) + one.slice(-5))).toEqual(['0100:00', '0100:00']);
  expect(new Date(search.get('to') ?? '').getTime()).toBeLessThanOrEqual(now.getTime());
  await page.getByRole('button', { name: 'This month' }).click();
  await expect(page).toHaveURL('/peer?month=this');
  await settled(page);
});

test('what has no sampling rate is told with its exporter', async ({ page }) => {
  await amend(page, (all) => all.unknown_rate.push({ exporter: 'edge9.example.net', observation: 'ingress', bytes: 0, bytes_unknown_rate: 5000 }));
  await page.goto('/peer');
  await settled(page);
  await expect(page.getByRole('note')).toContainText('edge9.example.net');
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
  // What few samples decide are both percentiles, and not only their difference.
  const rough = page.getByRole('table', { name: /by transit$/ }).locator('tbody tr').first().getByText('few samples, about');
  expect(await rough.count()).toBeGreaterThanOrEqual(3);
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
