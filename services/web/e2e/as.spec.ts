// One AS: what is told of it besides its traffic over time.
import type { Page } from '@playwright/test';
import type { Answer, Asn, Request } from '../app/api/types';
import { land } from '../app/as/land';
import { bits, rate } from '../app/format';
import { expect, settled, test } from './page';

const SECTIONS = [
  { title: 'Top prefixes', by: 'prefix' },
  { title: 'Top countries', by: 'country' },
  { title: 'Other end', by: 'other_as' },
] as const;

/** The page of the AS with most traffic. */
async function first(page: Page, range: string): Promise<string> {
  await page.goto(`/?${range}`);
  await settled(page);
  const path = (await page.locator('tbody a').first().getAttribute('href')) ?? '';
  return `${new URL(path, 'http://x').pathname}?${range}`;
}

/** Waits for what is asked beside the page's own question, by what it asks for. */
function asked(page: Page, by: string): Promise<Request> {
  const is = (body: string | null) => body?.includes(`"by":["${by}"]`) ?? false;
  return page.waitForRequest((one) => one.url().endsWith('/query') && is(one.postData())).then((one) => one.postDataJSON() as Request);
}

test('an AS has its prefixes, its countries, and who is at the other end, as the API answers', async ({ page, request }) => {
  test.slow();
  const path = await first(page, 'last=1h');
  await expect(async () => {
    const questions = Promise.all(SECTIONS.map(({ by }) => asked(page, by)));
    await page.goto(path);
    for (const [at, data] of (await questions).entries()) {
      const { title, by } = SECTIONS[at] ?? SECTIONS[0];
      const answer = (await (await request.post('/api/v1/query', { data })).json()) as Answer;
      const rows = page.getByRole('region', { name: `${title}, as a table` }).locator('tbody tr');
      await expect(rows.first()).toBeVisible();
      expect(answer.rows.length).toBeGreaterThan(0);
      const texts = await rows.allInnerTexts();
      for (const [place, row] of answer.rows.entries()) {
        const key = row.keys[0] ?? '';
        expect(texts[place]).toContain(by === 'country' ? land(key) : key);
        expect(texts[place]).toContain(bits(rate(row.bytes_in, answer.seconds)));
      }
    }
  }).toPass({ timeout: 45_000 });
});

test('of a range between hours it says which hours its prefixes are of, and nothing where they are the same', async ({ page }) => {
  const hour = Math.floor(Date.now() / 3_600_000) * 3_600_000 - 2 * 3_600_000;
  const written = (time: number) => `${new Date(time).toISOString().slice(0, 16).replace(':', '')}Z`;
  const path = await first(page, `from=${written(hour + 600_000)}&to=${written(hour + 3_000_000)}&zone=utc`);
  await page.goto(path);
  const start = new Date(hour).toISOString().slice(11, 16);
  await expect(page.getByRole('region', { name: 'Top prefixes', exact: true })).toContainText(new RegExp(`${start} – .*, because they are kept in steps of 1\\sh\\.`));
  await expect(page.getByRole('region', { name: 'Top countries, as a table' })).toBeVisible();
  await expect(page.getByRole('region', { name: 'Top countries', exact: true })).not.toContainText('because');
});

test('by neighbour nothing of ends is kept, and it says so', async ({ page }) => {
  await page.goto('/as/15169?last=1h&by=neighbour');
  await expect(page.getByText('are kept by origin AS')).toBeVisible();
  await expect(page.getByRole('heading', { name: 'Top prefixes' })).toHaveCount(0);
});

test('its head has its name, the links that it was met by, and where others tell of it', async ({ page, request }) => {
  const path = await first(page, 'last=1h');
  const about = (await (await request.get(`/api/v1${new URL(path, 'http://x').pathname.replace('/as/', '/asns/')}`)).json()) as Asn;
  await page.goto(path);
  await expect(page.getByRole('heading', { level: 1 })).toHaveText(`AS${String(about.asn)} ${about.name}`);
  await expect(page.getByText('Met in the last 24 hours by')).toContainText(about.links[0]?.link ?? 'a link');
  await expect(page.getByText('Met in the last 24 hours by')).toContainText(/bit\/s in, .*bit\/s out\)/);
  await expect(page.getByRole('link', { name: 'PeeringDB' })).toHaveAttribute('href', `https://www.peeringdb.com/asn/${String(about.asn)}`);
});

test('a number for private use is called one, and nobody is said to tell of it', async ({ page }) => {
  await page.goto('/as/64512?last=1h');
  await expect(page.getByText('for private use')).toBeVisible();
  await expect(page.getByRole('link', { name: 'PeeringDB' })).toHaveCount(0);
});

test.describe('errors', () => {
  test.use({ expected: [/Failed to load resource/] });

  test('what is asked beside keeps nothing waiting, and fails for itself', async ({ page }) => {
    let release = () => {};
    const held = new Promise<void>((resolve) => (release = resolve));
    const problem = { type: 'urn:weir:problem:busy', title: 'Too many ask', status: 503, detail: 'others are asked already' };
    await page.route('**/api/v1/query', async (route) => {
      if (!route.request().postData()?.includes('"by":["prefix"]')) return route.continue();
      await held;
      return route.fulfill({ status: 503, contentType: 'application/problem+json', json: problem });
    });
    await page.goto('/as/15169?last=1h');
    await settled(page);
    const prefixes = page.getByRole('region', { name: 'Top prefixes', exact: true });
    await expect(prefixes.getByRole('status')).toContainText('Loading its prefixes');
    release();
    await expect(prefixes.getByRole('alert')).toContainText('Too many ask');
    await page.unrouteAll();
    await prefixes.getByRole('button', { name: 'Try again' }).click();
    await expect(prefixes.getByRole('table')).toBeVisible();
  });

  test('of a new range the families of the old one are dim until theirs are there, and what keeps them is said at their place', async ({ page }) => {
    await page.goto(await first(page, 'last=6h'));
    await settled(page);
    const families = page.getByRole('region', { name: 'IPv4 and IPv6' });
    await expect(families.getByRole('table')).toBeVisible();
    let release = () => {};
    const held = new Promise<void>((resolve) => (release = resolve));
    await page.route('**/api/v1/query', async (route) => {
      if (!route.request().postData()?.includes('"by":["family"]')) return route.continue();
      await held;
      return route.fulfill({ status: 503, contentType: 'application/problem+json', json: { type: 'urn:weir:problem:busy', title: 'Too many ask', status: 503, detail: 'others are asked' } });
    });
    await page.getByRole('button', { name: '1 h' }).click();
    await expect(families).toHaveAttribute('aria-busy', 'true');
    await expect(families.locator('div.opacity-50').getByRole('table')).toBeVisible();
    await expect(page.getByRole('table', { name: 'Its traffic by link' })).toBeVisible();
    release();
    await expect(families.getByRole('alert')).toContainText('Too many ask');
    await page.unrouteAll();
    await families.getByRole('button', { name: 'Try again' }).click();
    await expect(families.getByRole('alert')).toHaveCount(0);
    await expect(families.locator('div.opacity-50')).toHaveCount(0);
  });
});
