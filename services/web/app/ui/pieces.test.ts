import { expect, test } from 'vitest';
import { pieces } from './pieces';

test('a name is broken behind dots and at spaces, and a short word with a hyphen nowhere', () => {
  const of = (name: string) => pieces(name).map(({ text, whole }) => (whole ? `[${text}]` : text));
  expect(of('edge3.ber.example.net Ethernet11')).toEqual(['edge3.', 'ber.', 'example.', 'net', ' ', 'Ethernet11']);
  expect(of('IX DE-CIX Frankfurt')).toEqual(['IX', ' ', '[DE-CIX]', ' ', 'Frankfurt']);
  expect(of('a-name-that-is-as-long-as-a-line')).toEqual(['a-name-that-is-as-long-as-a-line']);
});

test('nothing of a name is lost, whatever it is', () => {
  for (const name of ['', '.', '...', 'a..b', '.a', 'a.', ' a  b ', '<b>1.2.3</b>', 'xe-0/2/1', 'Söhne – & Co.']) {
    expect(pieces(name).map(({ text }) => text).join('')).toBe(name);
  }
});
