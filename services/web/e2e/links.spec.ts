import type { Answer, Links, Request } from '../app/api/types';
import { aside, links, takeBack } from './aside';
import { amend, expect, settled, test } from './page';

const traffic = (name: string) => `/?last=1h&connectivity=customer&filter=${encodeURIComponent(`link = "${name}"`)}`;

test('a proposal is confirmed by one click, which changes the past, and is taken back', async ({ page, request }) => {
  test.slow();
  const { exporter, exporter_name, if_index, name } = await aside(request, 'e2e-confirmed', 0);
  const before = new Set((await links(request)).links.map((link) => link.id));
  try {
    await page.goto('/links');
    await settled(page);
    const row = page.getByRole('table', { name: 'Interfaces on no link' }).getByRole('row').filter({ hasText: `${exporter_name} ${name}` });
    await expect(row).toContainText('Proposal');
    await expect(row).toContainText('because its description says cust.');
    await row.getByRole('button', { name: 'Confirm' }).click();
    await expect(page.getByRole('status')).toContainText(' is saved');
    await expect(row).toHaveCount(0);
    const said = (await links(request)).links.find((link) => !before.has(link.id) && link.members.some((one) => one.exporter === exporter && one.if_index === if_index));
    if (!said) throw new Error('nothing was said');
    expect(said).toMatchObject({ said_by: 'person', connectivity: 'customer' });

    await page.goto(traffic(said.name));
    await settled(page);
    await expect(page.locator('tfoot tr').last()).toContainText('bit/s');

    await page.goto('/links');
    await settled(page);
    const link = page.getByRole('table', { name: 'Links' }).locator('tr').filter({ has: page.getByRole('rowheader', { name: said.name }), hasText: 'Person' });
    await link.getByRole('button', { name: 'Take back' }).click();
    await link.getByRole('button', { name: 'Yes, take it back' }).click();
    await expect(page.getByRole('status')).toContainText('is taken back');
    await page.goto(traffic(said.name));
    await expect(page.getByRole('heading', { name: 'No traffic in this range with these filters' })).toBeVisible();
  } finally {
    const after = (await links(request)).links.filter((link) => link.said_by === 'person' && link.members.some((one) => one.exporter === exporter && one.if_index === if_index));
    await takeBack(request, ...after.map((link) => link.id));
  }
});

test('the address has which link is edited, and going back closes it', async ({ page }) => {
  await page.goto('/?last=1h');
  await page.getByRole('navigation').getByRole('link', { name: 'Links' }).click();
  await settled(page);
  const dialog = page.getByRole('dialog');
  const edit = async () => {
    await page.getByRole('button', { name: /^Edit / }).first().click();
    await expect(page).toHaveURL(/edit=/);
    await expect(dialog.getByLabel('Name')).toBeFocused();
  };
  await edit();
  await page.goBack();
  await expect(dialog).toHaveCount(0);
  await expect(page).toHaveURL('/links?last=1h');
  // However often it is opened and closed, one step back leaves the page.
  for (const close of [() => page.keyboard.press('Escape'), () => dialog.getByRole('button', { name: 'Cancel' }).click()]) {
    await edit();
    await close();
    await expect(dialog).toHaveCount(0);
    await expect(page).toHaveURL('/links?last=1h');
  }
  await page.goBack();
  await expect(page).toHaveURL('/?last=1h');
});

test('a form that an address opened is closed where it is', async ({ page, request }) => {
  const id = (await links(request)).links[0]?.id ?? '';
  await page.goto(`/links?edit=${encodeURIComponent(id)}`);
  await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click();
  await expect(page).toHaveURL('/links');
  await settled(page);
});

test('a link of which a rule still has interfaces is one row, a person’s', async ({ page, request }) => {
  const name = (await links(request)).links[0]?.name ?? '';
  await page.route('**/api/v1/links', async (route) => {
    const response = await route.fetch();
    const all = (await response.json()) as Links;
    const [one] = all.links;
    if (one) all.links.push({ ...one, said_by: 'person' });
    await route.fulfill({ response, json: all });
  });
  await page.goto('/links');
  await settled(page);
  const row = page.getByRole('table', { name: 'Links' }).locator('> tbody > tr').filter({ has: page.getByRole('rowheader', { name }) });
  await expect(row).toHaveCount(1);
  await expect(row).toContainText('Person');
});

test('a link whose sampling rate is not known has no rate, and the page says of whom', async ({ page, request }) => {
  const name = (await links(request)).links[0]?.name ?? '';
  await amend(page, ({ rows, unknown_rate }) => {
    const row = rows.find((one) => one.keys[0] === name);
    if (row) Object.assign(row, { bytes_in: 0, low_in: 0, high_in: 0, bytes_unknown_rate_in: 5000 });
    unknown_rate.push({ exporter: 'edge9.example.net', observation: 'ingress', bytes: 0, bytes_unknown_rate: 5000 });
  });
  await page.goto('/links');
  await settled(page);
  const row = page.getByRole('table', { name: 'Links' }).locator('> tbody > tr').filter({ has: page.getByRole('rowheader', { name }) });
  await expect(row.getByText('–, rate unknown')).toHaveCount(2);
  await expect(page.getByRole('note')).toContainText('edge9.example.net');
});

test('of a month that is mostly older than the first flow the 95ths are of the rest, and the page says since when', async ({ page }) => {
  const asked: Request[] = [];
  let stored = 0;
  await page.route('**/api/v1/query', async (route) => {
    const body = route.request().postDataJSON() as Request;
    const response = await route.fetch();
    const answer = (await response.json()) as Answer;
    if (body.peaks) asked.push(body);
    if (body.peaks && stored === 0) stored = answer.from + 600;
    await route.fulfill({ response, json: { ...answer, ...(stored > 0 ? { stored_from: stored } : {}) } });
  });
  await page.goto('/links');
  await settled(page);
  await expect(page.getByRole('columnheader', { name: /^95th since \d+ \w+, \d\d:\d\d$/ })).toBeVisible();
  expect(asked.map((one) => Date.parse(one.from ?? '') / 1000)).toEqual([stored - 600, stored]);
});

test('of more links than have a 95th the page says so', async ({ page }) => {
  await amend(page, (answer) => {
    const one = answer.rows[0];
    if (one && answer.peaks) answer.rows = Array.from({ length: 200 }, (_, at) => ({ ...one, keys: [`link ${String(at)}`] }));
  });
  await page.goto('/links');
  await expect(page.getByText('It is told of the 200 links with most traffic.')).toBeVisible();
});

test.describe('a small screen', () => {
  test.use({ viewport: { width: 375, height: 812 } });

  test('has proposals and what confirms them, and rates, without scrolling sideways', async ({ page }) => {
    await page.goto('/links');
    await settled(page);
    const free = page.getByRole('table', { name: 'Interfaces on no link' });
    for (const one of [free.getByText('Proposal').filter({ visible: true }).first(), free.getByRole('button', { name: 'Confirm' }).first(), page.getByRole('table', { name: 'Links' }).getByText('bit/s').first()]) {
      const box = await one.boundingBox();
      expect((box?.x ?? 0) + (box?.width ?? Infinity)).toBeLessThanOrEqual(375);
    }
  });
});

test('a link unfolds to what of it is counted, in words, and to the ASes with most traffic over it', async ({ page, request }) => {
  const { links: all } = await links(request);
  const one = all.find((link) => link.connectivity === 'transit');
  // Generated traffic is sampled everywhere.
  expect(one?.complete_in?.says).toBe('in is complete: sampled on ingress here');
  if (!one?.complete_out) throw new Error('nothing is said of what goes out by the transit');
  const says = 'out is incomplete: no egress sampling here, and core interfaces et-0/0/3, et-0/0/7 are not sampled on ingress';
  await page.route('**/api/v1/links', async (route) => {
    const response = await route.fetch();
    const answer = (await response.json()) as Links;
    for (const link of answer.links) if (link.id === one.id) link.complete_out = { complete: false, says, missing: [] };
    await route.fulfill({ response, json: answer });
  });
  await page.goto('/links');
  await settled(page);
  const row = page.getByRole('table', { name: 'Links' }).locator('> tbody > tr').filter({ has: page.getByRole('rowheader', { name: one.name }) }).first();
  await expect(row).toContainText('out incomplete');
  await row.getByRole('button', { name: `More of ${one.name}` }).click();
  await expect(page.getByText(`O${says.slice(1)}.`)).toBeVisible();
  await expect(page.getByText('In is complete: sampled on ingress here.')).toBeVisible();
  const ases = page.getByRole('table', { name: /^Top ASes of the last 24 hours/ });
  await expect(ases.getByRole('rowheader').first()).toContainText(/^AS\d+/);
  await expect(ases).toContainText('bit/s');
});

test.describe('errors', () => {
  test.use({ expected: [/Failed to load resource/] });

  test('what is refused is said at its field', async ({ page, request }) => {
    const taken = await aside(request, 'e2e-taken', 1);
    const free = await aside(request, 'e2e-free', 2);
    const { exporter, if_index } = taken;
    const data = { name: 'E2E taken', connectivity: 'customer', members: [{ exporter, if_index }] };
    try {
      expect((await request.put('/api/v1/links/e2e-taken', { data })).status()).toBe(200);
      await page.goto(`/links?classify=${encodeURIComponent(`${free.exporter} ${String(free.if_index)}`)}`);
      const dialog = page.getByRole('dialog');
      await dialog.getByLabel('Name').fill('E2E refused');
      await dialog.getByLabel('Add an interface').selectOption('By its address and index');
      const second = dialog.getByRole('listitem').last();
      await second.getByLabel("Exporter's address").fill(exporter);
      await second.getByLabel('ifIndex').fill(String(if_index));
      await dialog.getByRole('button', { name: 'Save' }).click();
      await expect(second.getByRole('alert')).toContainText("is on the link 'E2E taken' at that time");
      await second.getByRole('button', { name: 'Remove' }).click();
      await dialog.getByLabel('Price').fill('0.12');
      await dialog.getByRole('button', { name: 'Save' }).click();
      await expect(dialog.getByLabel('Currency')).toHaveAttribute('aria-invalid', 'true');
      await expect(dialog.getByRole('alert')).toContainText('ISO 4217');
      await dialog.getByLabel('Capacity').fill('much');
      await dialog.getByRole('button', { name: 'Save' }).click();
      await expect(dialog.getByRole('alert')).toContainText('Write a speed such as 100G');
      expect((await links(request)).links.some((link) => link.name === 'E2E refused')).toBe(false);
    } finally {
      await takeBack(request, 'e2e-taken', 'e2e-free');
    }
  });

  test('a token that is asked for while a link is saved is sent once, and the link once more', async ({ page }) => {
    let puts = 0;
    await page.route('**/api/v1/links/*', (route) => {
      puts += 1;
      const problem = { type: 'urn:weir:problem:token', title: 'Who asks needs a token', status: 401, detail: 'weir token create NAME makes one' };
      return puts === 1
        ? route.fulfill({ status: 401, contentType: 'application/problem+json', json: problem })
        : route.fulfill({ status: 200, json: {} });
    });
    await page.goto('/links');
    await settled(page);
    await page.getByRole('button', { name: /^Edit / }).first().click();
    const dialog = page.getByRole('dialog');
    await dialog.getByRole('button', { name: 'Save' }).click();
    await dialog.getByLabel('Token').fill('right');
    await dialog.getByLabel('Token').press('Enter');
    await expect(dialog).toHaveCount(0);
    await expect(page.getByRole('status')).toContainText('is saved');
    expect(puts).toBe(2);
  });

  test('an API that does not answer is asked again', async ({ page }) => {
    await page.route('**/api/v1/links', (route) => route.abort());
    await page.goto('/links');
    await expect(page.getByRole('alert')).toContainText('Weir does not answer');
    await page.unrouteAll();
    await page.getByRole('button', { name: 'Try again' }).click();
    await settled(page);
  });
});

test('what routers say is text, and with nothing seen the page says what to do', async ({ page }) => {
  const hostile = '<img src=x onerror="document.title=1">=1+1';
  let nothing = false;
  await page.route('**/api/v1/links', async (route) => {
    const response = await route.fetch();
    const { links: all } = (await response.json()) as Links;
    const interfaceOf = { exporter: '192.0.2.1', exporter_name: hostile, if_index: 1, name: hostile, description: hostile, speed: 0 };
    const proposal = { connectivity: 'transit', provider: hostile, neighbour_as: 0, because: hostile };
    const some: Links = { links: all.map((link) => ({ ...link, provider: hostile })), unclassified: [{ ...interfaceOf, bytes_in: 1, bytes_out: 1, ases: 1, proposal }], left_out: 0 };
    await route.fulfill({ response, json: nothing ? { links: [], unclassified: [], left_out: 0 } : some });
  });
  await page.goto('/links');
  await settled(page);
  await expect(page.getByRole('table', { name: 'Interfaces on no link' })).toContainText(hostile);
  expect(await page.locator('main img').count()).toBe(0);
  await expect(page).toHaveTitle('Weir: links');
  nothing = true;
  await page.reload();
  await expect(page.getByRole('heading', { name: 'No interface has been seen yet' })).toBeVisible();
});
