// The address is the whole state of a page: what is shown follows from it, and each change of it can be gone back from.

/** Of a step of history that lies over the one before it. */
const OVER = { over: true };

class Route {
  path = $state(location.pathname);
  search = $state.raw(new URLSearchParams(location.search));

  constructor() {
    addEventListener('popstate', () => this.#read());
  }

  go(to: string, how: 'push' | 'replace' = 'push'): void {
    if (to === location.pathname + location.search) return;
    if (how === 'push') history.pushState(null, '', to);
    else history.replaceState(history.state, '', to);
    this.#read();
  }

  /** Goes to what lies over the page that is shown, such as a form. */
  open(to: string): void {
    history.pushState(OVER, '', to);
    this.#read();
  }

  /** Leaves it: back where it was opened here, so that no step of history leads to it again; else, as from an address that was typed, to `below`. */
  close(below: string): void {
    const state: unknown = history.state;
    if (typeof state === 'object' && state !== null && 'over' in state) history.back();
    else this.go(below, 'replace');
  }

  #read(): void {
    this.path = location.pathname;
    this.search = new URLSearchParams(location.search);
  }
}

export const route = new Route();
