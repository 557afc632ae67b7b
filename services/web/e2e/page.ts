// A page that is looked at for what no test may see: a request to another host, something that its policy forbids, an error in its code.
import { test as plain, type Page } from '@playwright/test';
import type { Answer } from '../app/api/types';

export { expect } from '@playwright/test';

interface Watched {
  /** Errors that the test itself brings about, as the browser writes them. */
  expected: RegExp[];
  watched: undefined;
}

export const test = plain.extend<Watched>({
  expected: [],
  watched: [
    async ({ context, page, baseURL, expected }, use) => {
      const wrong: string[] = [];
      context.on('request', (request) => {
        const { origin, protocol } = new URL(request.url());
        if (origin !== baseURL && protocol !== 'blob:') wrong.push(`a request to ${request.url()}`);
      });
      context.on('weberror', ({ error }) => void wrong.push(error().message));
      context.on('console', (message) => {
        if (message.type() === 'error' && !expected.some((one) => one.test(message.text()))) wrong.push(message.text());
      });
      await use(undefined);
      // Answers that are still on their way when a test ends are nobody's any more.
      await page.unrouteAll({ behavior: 'ignoreErrors' });
      if (wrong.length > 0) throw new Error(wrong.join('\n'));
    },
    { auto: true },
  ],
});

/** Waits until what is shown is the answer to what the address says: rows, or that there is no traffic. */
export async function answered(page: Page): Promise<void> {
  await page.locator('[aria-busy="false"] :is(tbody tr, h2)').first().waitFor();
}

/** Waits until the answer is rows. Of the ranges that end now, one of hours ends with five minutes that are over, and begins to have some later. */
export async function settled(page: Page): Promise<void> {
  await page.locator('[aria-busy="false"] tbody tr').first().waitFor();
}

/** The texts of the table's rows. */
export function rows(page: Page): Promise<string[]> {
  return page.locator('main table').last().locator('tbody > tr').allInnerTexts();
}

/** Changes the answers on their way to the page. */
export async function amend(page: Page, change: (answer: Answer) => void): Promise<void> {
  await page.route('**/api/v1/query', async (route) => {
    const response = await route.fetch();
    const answer = (await response.json()) as Answer;
    change(answer);
    await route.fulfill({ response, json: answer });
  });
}
