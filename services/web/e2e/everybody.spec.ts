// Pages for everybody: in both themes, by keyboard, on a small screen.
import { AxeBuilder } from '@axe-core/playwright';
import { expect, settled, test } from './page';

const PAGES = ['/?last=1h', '/as/15169?last=1h', '/between?last=1h', '/peer', '/links', '/exporters', '/nowhere'];

for (const colorScheme of ['light', 'dark'] as const) {
  test.describe(colorScheme, () => {
    test.use({ colorScheme });

    for (const path of PAGES) {
      test(`axe finds nothing wrong at ${path}`, async ({ page }) => {
        test.slow();
        await page.goto(path);
        if (path !== '/nowhere') await settled(page);
        const expander = page.locator('tbody button[aria-expanded]').first();
        if (await expander.isVisible()) {
          await expander.click();
          await expect(page.locator('tbody table').first()).toBeVisible();
        }
        const { violations } = await new AxeBuilder({ page }).analyze();
        expect(violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(' ')}`)).toEqual([]);
      });
    }

    test('axe finds nothing wrong with the form of a link', async ({ page }) => {
      test.slow();
      await page.goto('/links');
      await settled(page);
      await page.getByRole('button', { name: /^Edit / }).first().click();
      await expect(page.getByRole('dialog')).toBeVisible();
      const { violations } = await new AxeBuilder({ page }).analyze();
      expect(violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(' ')}`)).toEqual([]);
    });
  });
}

test.describe('a small screen', () => {
  test.use({ viewport: { width: 375, height: 812 } });

  test('has no page that is wider', async ({ page }) => {
    for (const path of PAGES) {
      await page.goto(path);
      if (path !== '/nowhere') await settled(page);
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(375);
    }
  });

  test('unfolds the rarer choices', async ({ page }) => {
    await page.goto('/?last=1h');
    await settled(page);
    await expect(page.getByLabel('Filter')).toBeHidden();
    await page.getByRole('button', { name: 'More' }).click();
    await expect(page.getByLabel('Filter')).toBeVisible();
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(375);
  });
});

test('a theme that was chosen stays', async ({ page }) => {
  await page.goto('/?last=1h');
  await page.getByRole('button', { name: 'Dark' }).click();
  await page.reload();
  await expect(page.locator('html')).toHaveAttribute('data-theme', 'dark');
  await expect(page.getByRole('button', { name: 'Light' })).toBeVisible();
});

test('a page that is gone to has the focus, and its name is told', async ({ page }) => {
  await page.goto('/?last=1h');
  await settled(page);
  await page.getByRole('navigation').getByRole('link', { name: 'Links' }).focus();
  await page.keyboard.press('Enter');
  await settled(page);
  await expect(page.locator('main')).toBeFocused();
  await expect(page.getByTestId('called')).toHaveText('Weir: links');
  await page.goBack();
  await settled(page);
  await expect(page.locator('main')).toBeFocused();
  await expect(page.getByTestId('called')).toHaveText('Weir: traffic by origin AS');
});

test('what columns mean is read without a mouse', async ({ page }) => {
  for (const path of ['/?last=1h', '/between?last=1h', '/peer', '/links', '/exporters']) {
    await page.goto(path);
    await settled(page);
    await page.getByText('What the columns mean').last().press('Enter');
    await expect(page.locator('details[open] dd').first()).toBeVisible();
  }
});

test('everything is reached by keyboard, the content first', async ({ page }) => {
  await page.goto('/?last=1h');
  await settled(page);
  await page.keyboard.press('Tab');
  await expect(page.getByRole('link', { name: 'Skip to the content' })).toBeFocused();
  await page.keyboard.press('Enter');
  await page.keyboard.press('Tab');
  await expect(page.getByRole('button', { name: '1 h' })).toBeFocused();
  const expander = page.getByRole('button', { name: /^Links of AS/ }).first();
  const there = () => expander.evaluate((one) => one === document.activeElement);
  for (let tabs = 0; tabs < 60 && !(await there()); tabs += 1) await page.keyboard.press('Tab');
  await expect(expander).toBeFocused();
  await page.keyboard.press('Enter');
  await expect(page.getByRole('table', { name: /by link$/ })).toBeVisible();
  await expect(expander).toBeFocused();
});
