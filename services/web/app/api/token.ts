// The token that a server may ask for. It is kept until the tab is closed, and sent to this page's own server alone.
const KEY = 'weir.token';

let token = '';
try {
  token = sessionStorage.getItem(KEY) ?? '';
} catch {
  // Storage may be forbidden; then it is asked for again when the page is loaded again.
}

export function authorization(): string | null {
  return token === '' ? null : `Bearer ${token}`;
}

export function useToken(given: string): void {
  token = given.trim();
  try {
    sessionStorage.setItem(KEY, token);
  } catch {
    // It holds until the page is closed.
  }
}
