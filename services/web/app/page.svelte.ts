// What pages have in common that show the answer to one question under the state in their address: the question is asked anew when it changes, and ends
// when the page is left.
import { untrack } from 'svelte';
import type { Outcome } from './api/client';
import { Latest } from './api/latest.svelte';
import { route } from './router.svelte';

export interface Asks<S, T> {
  read: (search: URLSearchParams) => S;
  write: (state: S) => string;
  /** What is asked, to be compared with what was asked before. */
  question: (state: S) => unknown;
  ask: (state: S, signal: AbortSignal) => Promise<Outcome<T>>;
}

export class Page<S extends { filter: string }, T> {
  readonly #asks: Asks<S, T>;
  readonly answers = new Latest<T>();
  readonly view: S = $derived.by(() => this.#asks.read(route.search));
  readonly #question: string = $derived.by(() => JSON.stringify(this.#asks.question(this.view)));
  readonly #problem = $derived.by(() => (this.answers.failure?.kind === 'problem' ? this.answers.failure.problem : null));
  /** What is wrong with the filter, which is said in its place. */
  readonly filterProblem = $derived.by(() => (this.#problem?.pointer === '/filter' && this.view.filter !== '' ? this.#problem : null));
  /** Anything else that is wrong. */
  readonly failure = $derived.by(() => (this.filterProblem ? null : this.answers.failure));
  /** Whether what is shown is no answer to what the address says. */
  readonly stale = $derived.by(() => this.answers.waiting || this.answers.failure !== null);

  /** To be made while a component is. */
  constructor(asks: Asks<S, T>) {
    this.#asks = asks;
    $effect(() => {
      void this.#question;
      untrack(() => this.ask());
      return () => this.answers.end();
    });
  }

  readonly ask = (): void => {
    const { view } = this;
    void this.answers.take((signal) => this.#asks.ask(view, signal));
  };

  /** Goes to another state; where it is the same, the question is asked again. */
  readonly set = (change: Partial<S>, how: 'push' | 'replace' = 'push'): void => {
    const to = route.path + this.#asks.write({ ...this.view, ...change });
    if (to === location.pathname + location.search) this.ask();
    else route.go(to, how);
  };
}
