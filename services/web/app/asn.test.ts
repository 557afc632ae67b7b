import { expect, test } from 'vitest';
import { isSomebody, named } from './asn';

test('a number and a name, whatever the name is', () => {
  expect(named('AS15169 Google LLC')).toEqual({ asn: '15169', name: 'Google LLC' });
  expect(named('AS64500')).toEqual({ asn: '64500', name: '' });
  expect(named('AS1 <b>\n"x"</b>')).toEqual({ asn: '1', name: '<b>\n"x"</b>' });
  for (const key of ['own or unknown', 'unknown', 'AS', 'ASx']) expect(named(key)).toEqual({ asn: null, name: key });
});

test('rows of what is not known are nobody', () => {
  expect(['own or unknown', 'not classified', 'AS1', 'Transit A'].map(isSomebody)).toEqual([false, false, true, true]);
});
