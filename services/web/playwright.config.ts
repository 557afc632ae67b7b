import { existsSync } from 'node:fs';
import { defineConfig } from '@playwright/test';

// Debian's browser, and none that is fetched. As root it has no sandbox.
const browser = process.env['WEIR_CHROMIUM'] ?? ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((path) => existsSync(path));

export default defineConfig({
  testDir: 'e2e',
  outputDir: 'test-results',
  globalSetup: './e2e/traffic-is-there.ts',
  reporter: 'list',
  workers: 2,
  fullyParallel: true,
  forbidOnly: true,
  timeout: 30_000,
  expect: { timeout: 10_000 },
  use: {
    baseURL: process.env['WEIR_URL'] ?? 'http://127.0.0.1:8480',
    viewport: { width: 1280, height: 900 },
    locale: 'en-GB',
    timezoneId: 'Europe/Vienna',
    trace: 'retain-on-failure',
    launchOptions: {
      ...(browser === undefined ? {} : { executablePath: browser }),
      args: process.getuid?.() === 0 ? ['--no-sandbox'] : [],
    },
  },
});
