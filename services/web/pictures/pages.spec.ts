// Takes every page in light, in dark, and on a small screen, into the folder that WEIR_PICTURES names.
import { join } from 'node:path';
import { expect, test, type Page } from '@playwright/test';

const folder = process.env['WEIR_PICTURES'] ?? '';
if (folder === '') throw new Error('WEIR_PICTURES names no folder for the pictures');

/** By the names of their files. Those with a chart come late, and exporters last: of the day that was written just now the last
 * minutes are stored by then, and what did not arrive is told once a minute. */
const PAGES: Record<string, string> = { api: '/docs', links: '/links', peer: '/peer', between: '/between', as: 'the first one', traffic: '/', exporters: '/exporters' };
const WIDE = { width: 1280, height: 900 };
const LOOKS = [
  { suffix: '', colorScheme: 'light', viewport: WIDE },
  { suffix: '-dark', colorScheme: 'dark', viewport: WIDE },
  { suffix: '-small', colorScheme: 'light', viewport: { width: 375, height: 812 } },
] as const;

/** The page of the AS with most traffic, whichever that is. */
async function firstAs(page: Page): Promise<string> {
  await page.goto('/');
  return (await page.locator('tbody a[href^="/as/"]').first().getAttribute('href')) ?? '';
}

for (const { suffix, colorScheme, viewport } of LOOKS) {
  test.describe(`${colorScheme}, ${String(viewport.width)} wide`, () => {
    test.use({ colorScheme, viewport });

    for (const [name, path] of Object.entries(PAGES)) {
      test(`${name}${suffix}`, async ({ page }) => {
        await page.goto(name === 'as' ? await firstAs(page) : path);
        await page.locator('[aria-busy="false"] :is(tbody tr, li)').first().waitFor();
        await expect(page.locator('.skeleton')).toHaveCount(0);
        await expect(page.getByText(/^Asking /)).toHaveCount(0);
        await page.screenshot({ path: join(folder, `${name}${suffix}.png`), animations: 'disabled', caret: 'hide' });
      });
    }
  });
}
