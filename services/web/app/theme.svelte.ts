// Light or dark: as chosen here once, else as the system has it. public/theme.js does the same before the first paint.
const KEY = 'weir.theme';

type Name = 'light' | 'dark';

function chosen(): Name | null {
  try {
    const name = localStorage.getItem(KEY);
    return name === 'light' || name === 'dark' ? name : null;
  } catch {
    return null;
  }
}

class Theme {
  #system = matchMedia('(prefers-color-scheme: dark)');
  name = $state<Name>(chosen() ?? (this.#system.matches ? 'dark' : 'light'));

  constructor() {
    this.#system.addEventListener('change', () => {
      if (!chosen()) this.#show(this.#system.matches ? 'dark' : 'light');
    });
  }

  flip(): void {
    const name = this.name === 'dark' ? 'light' : 'dark';
    try {
      localStorage.setItem(KEY, name);
    } catch {
      // It holds until the page is closed.
    }
    this.#show(name);
  }

  #show(name: Name): void {
    this.name = name;
    document.documentElement.dataset['theme'] = name;
  }
}

export const theme = new Theme();
