// A question that changes.
import { ask } from './client';
import { Latest } from './latest.svelte';
import type { Answer, Request } from './types';

export class Question extends Latest<Answer> {
  ask(body: Request): Promise<void> {
    return this.take((signal) => ask(body, signal));
  }
}
