// Pictures of the pages for the documents: scripts/screenshots.sh takes them.
import { defineConfig } from '@playwright/test';
import tests from './playwright.config';

export default defineConfig(tests, { testDir: 'pictures', workers: 1, timeout: 90_000 });
