// What is said where there is no answer, or one that is strange.
import { amend, answered, expect, settled, test } from './page';

test('a name is text, whatever a router or a database made of it', async ({ page }) => {
  const name = '<img src=x onerror="document.title=1"><script>document.title=2</script>"\'&amp;';
  await amend(page, ({ rows }) => {
    const row = rows[0];
    if (row) row.keys[0] = row.keys[0]?.startsWith('AS') ? `AS64500 ${name}` : name;
  });
  await page.goto('/?last=1h&open=64500');
  await settled(page);
  await expect(page.locator('tbody a').first()).toContainText(name);
  await expect(page.getByRole('table', { name: 'AS64500 by link' })).toBeVisible();
  expect(await page.locator('main img, main script').count()).toBe(0);
  await expect(page).toHaveTitle('Weir: traffic by origin AS');
});

test('with nothing classified the page says so, and shows all interfaces meanwhile', async ({ page }) => {
  let kind = 'customer';
  await page.route('**/api/v1/query', async (route) => {
    const asked = route.request().postDataJSON() as { scope?: string; by?: string[] };
    const response = await route.fetch();
    const answer = (await response.json()) as { rows: object[]; total: { bytes_in: number; bytes_out: number } };
    if (asked.by?.[0] === 'connectivity') return route.fulfill({ response, json: { ...answer, rows: answer.rows.slice(0, 1).map((row) => ({ ...row, keys: [kind] })) } });
    if (asked.scope === 'all') return route.fulfill({ response });
    return route.fulfill({ response, json: { ...answer, rows: [], other_observation: [], unknown_rate: [], total: { ...answer.total, bytes_in: 0, bytes_out: 0 } } });
  });
  await page.goto('/?last=1h');
  await expect(page.getByRole('heading', { name: 'No traffic over transit, IX or PNI links in this range' })).toBeVisible();
  kind = 'unknown';
  await page.reload();
  await expect(page.getByRole('heading', { name: 'Nothing is classified yet' })).toBeVisible();
  await expect(page.getByRole('link', { name: 'Say what the links are' })).toHaveAttribute('href', '/links');
  await page.getByRole('button', { name: 'Show all interfaces meanwhile' }).click();
  await expect(page).toHaveURL('/?last=1h&scope=all');
  await settled(page);
});

test('of one AS nothing that is classified leads to all interfaces too, and not to a longer range', async ({ page }) => {
  await page.route('**/api/v1/query', async (route) => {
    const asked = route.request().postDataJSON() as { scope?: string; by?: string[] };
    const response = await route.fetch();
    const answer = (await response.json()) as { rows: object[] };
    if (asked.by?.[0] === 'connectivity') return route.fulfill({ response, json: { ...answer, rows: answer.rows.slice(0, 1).map((row) => ({ ...row, keys: ['unknown'] })) } });
    return route.fulfill({ response, json: asked.scope === 'all' ? answer : { ...answer, rows: [], other_observation: [], unknown_rate: [] } });
  });
  await page.goto('/as/15169?last=1h');
  await expect(page.getByRole('heading', { name: 'What traffic with AS15169 goes over is not classified yet' })).toBeVisible();
  await expect(page.getByText('Choose a longer range')).toHaveCount(0);
  await page.getByRole('button', { name: 'Show all interfaces meanwhile' }).click();
  await expect(page).toHaveURL('/as/15169?last=1h&scope=all');
  await settled(page);
});

test('what came but does not count is told in place of nothing', async ({ page }) => {
  const elsewhere = [{ exporter: 'edge2.example.net', observation: 'egress', bytes: 5_000_000, bytes_unknown_rate: 0 }];
  await amend(page, (answer) => Object.assign(answer, { rows: [], observation: 'ingress', other_observation: elsewhere, unknown_rate: [] }));
  for (const path of ['/?last=1h', '/between?last=1h', '/as/15169?last=1h']) {
    await page.goto(path);
    await expect(page.getByRole('heading', { name: /^Nothing that came .*in this range counts$/ })).toBeVisible();
    await expect(page.getByText('Observed elsewhere, and not counted:').first()).toContainText('edge2.example.net (5.00');
    await expect(page.getByText('Nothing was stored for this time')).toHaveCount(0);
  }
});

test('a range or filters without traffic lead to those with some', async ({ page }) => {
  const day = (ago: number) => `${new Date(Date.now() - ago * 86_400_000).toISOString().slice(0, 10)}T0000Z`;
  await page.goto(`/?from=${day(20)}&to=${day(19)}`);
  await expect(page.getByRole('heading', { name: 'No traffic in this range' })).toBeVisible();
  await page.getByRole('button', { name: 'Show the last 24 hours' }).click();
  await expect(page).toHaveURL('/');
  await page.goto('/?last=1h&filter=as+%3D+4200000000');
  await expect(page.getByRole('heading', { name: 'No traffic in this range with these filters' })).toBeVisible();
  await page.getByRole('button', { name: 'Clear the filters' }).click();
  await settled(page);
});

test('an address that is no page says where to begin', async ({ page }) => {
  await page.goto('/nowhere');
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('There is no page here');
});

test.describe('errors', () => {
  test.use({ expected: [/Failed to load resource/] });

  test('what is wrong with a filter is said in its place, and one click mends it', async ({ page }) => {
    await page.goto('/?last=1h&connectivity=transit');
    await settled(page);
    await page.getByLabel('Filter').fill('famly = 4');
    await page.getByLabel('Filter').press('Enter');
    const alert = page.getByRole('alert');
    await expect(alert.locator('mark')).toHaveText('famly');
    await expect(alert).toContainText('did you mean family?');
    await page.getByRole('button', { name: 'Write family' }).click();
    await expect(page.getByLabel('Filter')).toHaveValue('family = 4');
    await expect(alert).toHaveCount(0);
  });

  test('a server that is busy, and one that is gone, are told apart, and can be asked again', async ({ page }) => {
    await page.goto('/?last=1h');
    await settled(page);
    const problem = { type: 'urn:weir:problem:busy', title: 'Too many ask', status: 503, detail: 'others are asked already; ask again in a while' };
    await page.route('**/api/v1/query', (route) => route.fulfill({ status: 503, contentType: 'application/problem+json', json: problem }));
    await page.getByRole('button', { name: '6 h' }).click();
    await expect(page.getByRole('alert')).toContainText('Others are asked already; ask again in a while.');
    await page.unrouteAll();
    await page.route('**/api/v1/query', (route) => route.abort());
    await page.getByRole('button', { name: 'Try again' }).click();
    await expect(page.getByRole('alert')).toContainText('Weir does not answer');
    await page.unrouteAll();
    await page.getByRole('button', { name: 'Try again' }).click();
    await answered(page);
    await expect(page.getByRole('alert')).toHaveCount(0);
  });

  test('a server that asks for a token gets it, and nobody else does', async ({ page }) => {
    const problem = { type: 'urn:weir:problem:token', title: 'Who asks needs a token', status: 401, detail: 'weir token create NAME makes one' };
    await page.route('**/api/v1/query', (route) =>
      route.request().headers()['authorization'] === 'Bearer right'
        ? route.continue()
        : route.fulfill({ status: 401, contentType: 'application/problem+json', json: problem }),
    );
    await page.goto('/?last=1h');
    await page.getByLabel('Token').fill('wrong');
    await page.getByLabel('Token').press('Enter');
    await expect(page.getByText('Weir token create NAME makes one.')).toBeVisible();
    await page.getByLabel('Token').fill(' right ');
    await page.getByLabel('Token').press('Enter');
    await settled(page);
    await page.reload();
    await settled(page);
  });
});
