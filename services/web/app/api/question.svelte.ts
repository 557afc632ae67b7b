// A question that changes: its latest answer stays until the next one is there, and an answer to an older question is thrown away.
import { ask, type Failure } from './client';
import type { Answer, Request } from './types';

export class Question {
  answer = $state.raw<Answer | null>(null);
  failure = $state.raw<Failure | null>(null);
  waiting = $state(false);
  #controller: AbortController | null = null;

  async ask(body: Request): Promise<void> {
    this.#controller?.abort();
    const controller = new AbortController();
    this.#controller = controller;
    this.waiting = true;
    try {
      const outcome = await ask(body, controller.signal);
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
