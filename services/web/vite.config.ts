import { svelte } from '@sveltejs/vite-plugin-svelte';
import tailwindcss from '@tailwindcss/vite';
import { defineConfig } from 'vitest/config';

const api = process.env['WEIR_API'] ?? 'http://127.0.0.1:8480';

export default defineConfig({
  plugins: [tailwindcss(), svelte()],
  build: {
    target: 'es2022',
    // Pages may load nothing from a data: address.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: {
    // `npm run dev` asks the API of a `make run` beside it.
    // To it the page is its own: one of another origin gets no answer.
    proxy: { '/api': { target: api, changeOrigin: true, headers: { origin: api } } },
  },
  test: { include: ['app/**/*.test.ts'] },
});
