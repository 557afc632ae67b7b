// Links between pages.
import { route } from './router.svelte';

/** Follows links to pages without loading the document again; all other links and clicks are the browser's. */
export function follow(event: MouseEvent): void {
  const plain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
  const link = event.target instanceof Element ? event.target.closest('a') : null;
  // A link within a drawing has no address but its attribute.
  const href = link?.getAttribute('href') ?? null;
  if (!plain || event.defaultPrevented || !link || href === null || link.hasAttribute('target') || link.hasAttribute('download')) return;
  const to = new URL(href, location.href);
  if (to.origin !== location.origin || to.hash || to.pathname.startsWith('/api/')) return;
  event.preventDefault();
  route.go(to.pathname + to.search);
  scrollTo(0, 0);
}
