import { svelte } from '@sveltejs/vite-plugin-svelte';
import tailwindcss from '@tailwindcss/vite';
import { defineConfig } from 'vitest/config';

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
    proxy: { '/api': { target: process.env['WEIR_API'] ?? 'http://127.0.0.1:8480', changeOrigin: true } },
  },
  test: { include: ['app/**/*.test.ts'] },
});
