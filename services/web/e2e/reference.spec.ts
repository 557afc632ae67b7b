import { AxeBuilder } from '@axe-core/playwright';
import type { Answer } from '../app/api/types';
import { expect, test } from './page';

test('a question is sent from the page of the API, and its answer is seen', async ({ page }) => {
  await page.goto('/?last=1h');
  await page.getByRole('link', { name: 'the API, to read and to try' }).click();
  await expect(page).toHaveURL('/docs');
  await expect(page.getByRole('button', { name: /^POST \/api\/v1\/query/ })).toHaveAttribute('aria-expanded', 'true');
  await page.getByRole('textbox', { name: 'Body' }).fill('{"last": "1h", "by": ["as"], "top": 3}');
  await expect(page.getByRole('region', { name: 'The same in a shell' })).toContainText('"top": 3');
  await page.getByRole('button', { name: 'Send' }).click();
  const answer = page.getByRole('region', { name: 'Answer' });
  const told = JSON.parse((await answer.textContent()) ?? '') as Answer;
  expect(told.rows).toHaveLength(3);
  await page.getByLabel('Answer in').selectOption('text/csv');
  await page.getByRole('button', { name: 'Send' }).click();
  await expect(answer).toContainText(/^as,bytes_in,/);
});

test.describe('errors', () => {
  test.use({ expected: [/Failed to load resource/] });

  test('a problem is shown as it comes', async ({ page }) => {
    await page.goto('/docs');
    await page.getByRole('textbox', { name: 'Body' }).fill('{"filter": "conectivity = ix"}');
    await page.getByRole('button', { name: 'Send' }).click();
    await expect(page.getByText('422')).not.toHaveCount(0);
    await expect(page.getByRole('region', { name: 'Answer' })).toContainText('did you mean connectivity?');
  });
});

for (const colorScheme of ['light', 'dark'] as const) {
  test.describe(colorScheme, () => {
    test.use({ colorScheme, viewport: { width: 375, height: 812 } });

    test('axe finds nothing wrong with any question, and nothing is wider than a small screen', async ({ page }) => {
      test.slow();
      await page.goto('/docs');
      await page.getByRole('button', { name: 'Send' }).click();
      await expect(page.getByRole('region', { name: 'Answer' })).toBeVisible();
      for (const ask of ['query', 'candidates', 'classify', 'exporters']) {
        if (ask !== 'query') await page.goto(`/docs?ask=${ask}`);
        await expect(page.getByRole('button', { name: /^Send/ })).toBeVisible();
        const { violations } = await new AxeBuilder({ page }).analyze();
        expect(violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(' ')}`)).toEqual([]);
        expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(375);
      }
    });
  });
}
