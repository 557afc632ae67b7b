// Ways from page to page: the time, and which links count, go along, and none of them ends where nothing is.
import { links } from './aside';
import { amend, expect, settled, test } from './page';

test('from Traffic by AS to an AS, with all interfaces and with links of one kind', async ({ page }) => {
  for (const scope of ['scope=all', 'connectivity=ix', 'connectivity=transit&zone=utc']) {
    await page.goto(`/?last=1h&${scope}`);
    await settled(page);
    await page.locator('tbody a').first().click();
    await expect(page).toHaveURL(new RegExp(`/as/\\d+\\?last=1h&${scope}$`));
    await settled(page);
    await page.getByRole('link', { name: 'All ASes in this time' }).click();
    await expect(page).toHaveURL(`/?last=1h&${scope}`);
  }
});

test('from an AS to one at its other end', async ({ page }) => {
  await amend(page, ({ by, rows }) => {
    if (by[0] === 'other_as' && rows[0]) rows[0].keys = ['AS64500 Other'];
  });
  await page.goto('/as/15169?last=1h&scope=all');
  await page.getByRole('region', { name: 'Other end, as a table' }).getByRole('link', { name: 'AS64500 Other' }).click();
  await expect(page).toHaveURL('/as/64500?last=1h&scope=all');
});

test('from AS to AS to an AS and to a link, out of the drawing and out of the table', async ({ page }) => {
  await page.goto('/between?last=1h&connectivity=transit');
  await settled(page);
  const chart = page.locator('svg[aria-label^="Bands"]');
  await expect(page.locator('tbody a').first()).toHaveAttribute('href', /^\/as\/\d+\?last=1h&connectivity=transit$/);
  await expect(chart.getByRole('link', { name: /^AS\d+.*source/ }).first()).toHaveAttribute('href', /^\/as\/\d+\?last=1h&connectivity=transit$/);
  await chart.getByRole('link', { name: /, link: / }).first().click();
  await expect(page).toHaveURL(/\/\?last=1h&direction=in&connectivity=transit&filter=link/);
  await settled(page);
});

test('from a link to its traffic, whatever it is for, and nothing is said to be counted twice', async ({ page, request }) => {
  const { links: all } = await links(request);
  for (const kind of ['transit', 'customer', 'core']) {
    const link = all.find((one) => one.connectivity === kind && one.said_by === 'rule');
    if (!link) continue;
    await page.goto('/links');
    await settled(page);
    await page.getByRole('table', { name: 'Links' }).getByRole('link', { name: link.name, exact: true }).click();
    await expect(page).toHaveURL(/filter=link/);
    await settled(page);
    await expect(page.getByText('is counted at each')).toHaveCount(0);
  }
});

test('from the head of any page to any other, with its time', async ({ page }) => {
  const to = (name: string) => page.getByRole('navigation').getByRole('link', { name });
  await page.goto('/?last=7d&zone=utc&connectivity=ix');
  for (const [name, path] of [['AS to AS', '/between'], ['Links', '/links'], ['Exporters', '/exporters'], ['Where to peer', '/peer'], ['Traffic by AS', '/']] as const) {
    await to(name).click();
    await expect(page).toHaveURL(`${path}?last=7d&zone=utc`);
    await settled(page);
    if (path !== '/exporters' && path !== '/links') continue;
    await page.getByRole('button', { name: /^More of / }).first().click();
    await expect(page).toHaveURL(new RegExp(`${path}\\?last=7d&zone=utc&open=`));
  }
});
