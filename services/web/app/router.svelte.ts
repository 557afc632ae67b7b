// The address is the whole state of a page: what is shown follows from it, and each change of it can be gone back from.

class Route {
  path = $state(location.pathname);
  search = $state.raw(new URLSearchParams(location.search));

  constructor() {
    addEventListener('popstate', () => this.#read());
  }

  go(to: string, how: 'push' | 'replace' = 'push'): void {
    if (to === location.pathname + location.search) return;
    history[how === 'push' ? 'pushState' : 'replaceState'](null, '', to);
    this.#read();
  }

  #read(): void {
    this.path = location.pathname;
    this.search = new URLSearchParams(location.search);
  }
}

export const route = new Route();
