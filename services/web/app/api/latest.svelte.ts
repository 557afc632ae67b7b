// What is asked again and again: the latest answer stays until the next one is there, and an answer to an older question is thrown away.
import type { Failure, Outcome } from './client';

export class Latest<T> {
  answer = $state.raw<T | null>(null);
  failure = $state.raw<Failure | null>(null);
  waiting = $state(false);
  #controller: AbortController | null = null;

  async take(from: (signal: AbortSignal) => Promise<Outcome<T>>): Promise<void> {
    this.#controller?.abort();
    const controller = new AbortController();
    this.#controller = controller;
    this.waiting = true;
    try {
      const outcome = await from(controller.signal);
      if (controller.signal.aborted) return;
      this.failure = outcome.ok ? null : outcome.failure;
      if (outcome.ok) this.answer = outcome.value;
      this.waiting = false;
    } catch {
      // A newer question took its place.
    }
  }

  /** Forgets it, answered or not. */
  end(): void {
    this.#controller?.abort();
    this.waiting = false;
  }
}
