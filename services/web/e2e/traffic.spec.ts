import { readFile } from 'node:fs/promises';
import type { Page } from '@playwright/test';
import type { Answer, Request } from '../app/api/types';
import { bits, rate } from '../app/format';
import { amend, answered, expect, rows, settled, test } from './page';

test('a range is chosen, and going back has the one before', async ({ page }) => {
  await page.goto('/');
  await answered(page);
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Traffic by origin AS');
  await expect(page.getByRole('region', { name: 'Chart' })).toContainText(/Average in .*bit\/s\s*Average out .*bit\/s/);
  await page.getByRole('button', { name: '1 h' }).click();
  await expect(page).toHaveURL('/?last=1h');
  await settled(page);
  await expect(page.getByRole('button', { name: '1 h' })).toHaveAttribute('aria-pressed', 'true');
  await page.goBack();
  await expect(page).toHaveURL('/');
  await expect(page.getByRole('button', { name: '24 h' })).toHaveAttribute('aria-pressed', 'true');
});

test('filtered to transit, an AS comes over transits alone', async ({ page }) => {
  await page.goto('/?last=1h');
  await settled(page);
  const all = await page.locator('tfoot tr').last().innerText();
  await page.getByRole('button', { name: 'Transit', exact: true }).click();
  await expect(page).toHaveURL('/?last=1h&connectivity=transit');
  await settled(page);
  expect(await page.locator('tfoot tr').last().innerText()).not.toBe(all);
  const expander = page.getByRole('button', { name: /^Links of AS/ }).first();
  await expander.click();
  const links = page.getByRole('table', { name: /^AS\d+ by link$/ });
  await expect(links.locator('tbody tr').first()).toContainText('Transit');
  for (const link of await links.locator('tbody th').allInnerTexts()) expect(link).toContain('Transit');
  await expect(page).toHaveURL(/open=\d+$/);
  await expander.click();
  await expect(links).toHaveCount(0);
});

test('the links of an AS are all of it', async ({ page, request }) => {
  await page.goto('/?last=1h');
  await settled(page);
  const asked = page.waitForRequest((one) => one.url().endsWith('/query'));
  await page.getByRole('button', { name: /^Links of AS/ }).first().click();
  const split = (await asked).postDataJSON() as Request;
  await expect(async () => {
    const links = (await (await request.post('/api/v1/query', { data: split })).json()) as Answer;
    const whole = (await (await request.post('/api/v1/query', { data: { ...split, by: ['as'] } })).json()) as Answer;
    expect(links.rows.reduce((all, row) => all + row.bytes_in, 0)).toBe(whole.rows[0]?.bytes_in);
    expect(await page.getByRole('table', { name: /by link$/ }).locator('tbody tr').count()).toBe(links.rows.length);
  }).toPass({ timeout: 15_000 });
});

test('dragging across the chart zooms, and back and forward go out and in again', async ({ page }) => {
  await page.goto('/?last=1h');
  await settled(page);
  const box = await page.locator('.u-over').boundingBox();
  if (!box) throw new Error('there is no chart');
  await page.mouse.move(box.x + box.width * 0.5, box.y + box.height / 2);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.75, box.y + box.height / 2, { steps: 5 });
  await page.mouse.move(box.x + box.width - 1, box.y + box.height / 2, { steps: 5 });
  await page.mouse.up();
  await expect(page).toHaveURL(/\?from=.*&to=/);
  const zoomed = page.url();
  const search = new URL(zoomed).searchParams;
  const minute = (name: string) => Date.parse((search.get(name) ?? '').replace(/T(\d\d)/, 'T$1:')) / 60_000;
  expect(minute('to') - minute('from')).toBeGreaterThanOrEqual(29);
  expect(minute('to') - minute('from')).toBeLessThanOrEqual(35);
  await page.goBack();
  await expect(page).toHaveURL('/?last=1h');
  await page.goForward();
  await expect(page).toHaveURL(zoomed);
});

test('the address in a new tab shows the same', async ({ page, context }) => {
  await page.goto('/?last=1h');
  await settled(page);
  // What is shown, as a range of its own: that stands still, and the last hour moves on.
  await page.getByRole('button', { name: 'Show' }).click();
  await expect(page).toHaveURL(/from=/);
  await settled(page);
  await page.getByRole('button', { name: 'Neighbour AS' }).click();
  await settled(page);
  await page.getByLabel('Times in').selectOption('utc');
  await page.getByLabel('Filter').fill('family = 4');
  const asks = (one: Page) => one.waitForRequest((request) => request.postData()?.includes('"interval"') ?? false);
  const asked = asks(page);
  await page.getByRole('button', { name: 'Apply' }).click();
  await expect(page).toHaveURL(/filter=family/);
  await settled(page);
  const other = await context.newPage();
  const again = asks(other);
  await other.goto(page.url());
  await settled(other);
  expect(await other.getByLabel('From').inputValue()).toBe(await page.getByLabel('From').inputValue());
  expect(await other.getByLabel('Filter').inputValue()).toBe('family = 4');
  await expect(other.getByRole('heading', { level: 1 })).toHaveText('Traffic by neighbour AS');
  // Of the last minutes flows may come between the two, so the question is compared, and the answer's first name.
  expect((await again).postData()).toBe((await asked).postData());
  const name = (of: Page) => of.locator('tbody a').first().innerText();
  expect(await name(other)).toBe(await name(page));
});

test('the CSV has what the API answers, to the byte, and the page the same rounded', async ({ page, request }) => {
  // A flow that comes between two questions is in the later answer alone; then they are asked again.
  await expect(async () => {
    await page.goto('/?last=1h');
    await settled(page);
    const asked = page.waitForRequest((one) => one.headers()['accept'] === 'text/csv');
    const downloading = page.waitForEvent('download');
    await page.getByRole('button', { name: 'Download CSV' }).click();
    const data = (await asked).postDataJSON() as Request;
    const file = await downloading;
    expect(file.suggestedFilename()).toMatch(/^weir-as-.*\.csv$/);
    const text = await readFile(await file.path(), 'utf8');
    expect(text).toBe(await (await request.post('/api/v1/query', { data, headers: { accept: 'text/csv' } })).text());
    const answer = (await (await request.post('/api/v1/query', { data })).json()) as Answer;
    const [heads, ...lines] = text.trimEnd().split(/\r?\n/);
    expect(heads?.startsWith('as,bytes_in,bytes_out,')).toBe(true);
    // All that the table has: peaks, the time before, and what is beyond the rows.
    for (const column of ['peaks_p95_in', 'previous_bytes_out']) expect(heads?.split(',')).toContain(column);
    expect(lines.length).toBe(answer.rows.length + 1);
    expect(lines.at(-1)).toMatch(/^other,/);
    const shown = await rows(page);
    answer.rows.forEach((row, at) => {
      const line = lines[at] ?? '';
      expect(line.replace(/^(".*?"|[^,]*),/, '').split(',').slice(0, 2)).toEqual([String(row.bytes_in), String(row.bytes_out)]);
      expect(shown[at]).toContain(bits(rate(row.bytes_in, answer.seconds)));
    });
  }).toPass({ timeout: 25_000 });
});

test('a sheet takes as long as its question, and its button waits for it', async ({ page }) => {
  let release = () => {};
  const held = new Promise<void>((resolve) => (release = resolve));
  await page.goto('/?last=1h');
  await settled(page);
  await page.route('**/api/v1/query', async (route) => {
    await held;
    await route.continue();
  });
  const downloading = page.waitForEvent('download');
  await page.getByRole('button', { name: 'Download CSV' }).click();
  await expect(page.getByRole('button', { name: 'Downloading …' })).toBeDisabled();
  release();
  await downloading;
  await expect(page.getByRole('button', { name: 'Download CSV' })).toBeEnabled();
});

test('questions of a page that is left end with it', async ({ page }) => {
  await page.route('**/api/v1/query', () => {});
  const asked = page.waitForRequest('**/api/v1/query');
  await page.goto('/?last=1h');
  const question = await asked;
  const ended = page.waitForEvent('requestfailed', (one) => one === question);
  await page.getByRole('navigation').getByRole('link', { name: 'Exporters' }).click();
  await ended;
  await settled(page);
  await page.unrouteAll({ behavior: 'ignoreErrors' });
});

test('what can be chosen is asked for when somebody chooses', async ({ page }) => {
  const asked: string[] = [];
  page.on('request', (one) => void asked.push(one.postData() ?? ''));
  await page.goto('/?last=1h');
  await settled(page);
  expect(asked.filter((body) => body.includes('"by":["provider"]') || body.includes('"by":["exporter"]'))).toEqual([]);
  await page.getByLabel('Exporter').focus();
  await expect(page.getByLabel('Exporter').locator('option')).not.toHaveCount(1);
  expect(asked.filter((body) => body.includes('"by":["provider"]'))).toEqual([]);
  await page.getByLabel('Exporter').selectOption({ index: 1 });
  await expect(page).toHaveURL(/exporter=/);
  await settled(page);
});

test('a change is told where all of the time before is stored, and else why there is none', async ({ page }) => {
  let stored = 0;
  await amend(page, (answer) => {
    if (answer.previous) answer.stored_from = answer.previous.from + stored;
  });
  await page.goto('/?last=1h');
  await settled(page);
  const change = page.locator('tfoot tr').last().locator('td').nth(7);
  await expect(change).toContainText('%');
  await expect(page.getByText('There is no change to tell')).toHaveCount(0);
  stored = 300;
  await page.getByRole('button', { name: '1 h' }).click();
  await expect(page.getByText(/There is no change to tell: of the 1\sh before, nothing was stored until/)).toBeVisible();
  await expect(change).not.toContainText('%');
});

test('an AS has a page, which knows its links and its families', async ({ page }) => {
  await page.goto('/?last=1h');
  await settled(page);
  await page.locator('tbody a').first().click();
  await expect(page).toHaveURL(/\/as\/\d+\?last=1h/);
  await expect(page.getByRole('heading', { level: 1 })).toContainText(/^AS\d+ \S/);
  await expect(page.getByRole('table', { name: 'Its traffic by link' })).toBeVisible();
  await expect(page.getByRole('table', { name: 'Its traffic by family' })).toContainText(/IPv[46]/);
  for (const link of await page.getByRole('link', { name: /PeeringDB|RIPEstat|bgp.tools/ }).all()) await expect(link).toHaveAttribute('rel', 'noreferrer');
  await page.getByRole('link', { name: 'All ASes in this time' }).click();
  await expect(page).toHaveURL('/?last=1h');
});
