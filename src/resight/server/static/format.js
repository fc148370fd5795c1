// How numbers and times are written.

const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const YEAR = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric" });
const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const EXACT = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });
const COUNT = new Intl.NumberFormat("en-GB");
const ROUGH = new Intl.NumberFormat("en-GB", { maximumSignificantDigits: 2 });
const ROUGHER = new Intl.NumberFormat("en-GB", { maximumSignificantDigits: 1 });

export const UNKNOWN = "Unknown";

/** "18 Nov, 14:02", in the reader's time zone; another year is named. */
export function when(seconds) {
  if (seconds == null) return "no time";
  const date = new Date(seconds * 1000);
  const day = date.getFullYear() === new Date().getFullYear() ? DAY : YEAR;
  return `${day.format(date)}, ${CLOCK.format(date)}`;
}

export const day = (seconds) => DAY.format(new Date(seconds * 1000));
export const clock = (seconds) => CLOCK.format(new Date(seconds * 1000));
export const exactly = (seconds) => (seconds == null ? "not known" : EXACT.format(new Date(seconds * 1000)));

/** "18 Nov, 14:02 to 15:10". */
export function between(first, last) {
  if (first == null) return "no times";
  if (first === last) return when(first);
  return day(first) === day(last) && last - first < 86400
    ? `${when(first)} to ${clock(last)}`
    : `${when(first)} to ${when(last)}`;
}

/** Seconds since 1970 of a datetime-local field, null where it is empty. */
export const seconds = (text) => (text ? new Date(text).getTime() / 1000 : null);

/** What a datetime-local field shows for a time. */
export function local(seconds) {
  const date = new Date(seconds * 1000);
  return new Date(date.getTime() - date.getTimezoneOffset() * 60000).toISOString().slice(0, 19);
}

export const count = (number) => COUNT.format(number);
export const counted = (number, one, many = `${one}s`) => `${count(number)} ${number === 1 ? one : many}`;
export const rough = (number) => (number < 1 ? ROUGHER : ROUGH).format(number);

/** A distance, of whatever size the metric's distances are. */
export function distance(value) {
  if (value === 0) return "0";
  if (value < 1e-4) return "< 0.0001";
  if (value < 0.01) return value.toPrecision(2);
  return value < 10 ? value.toFixed(3) : value < 1000 ? value.toFixed(1) : count(Math.round(value));
}

/** A rate as a percentage of two digits. */
export const percent = (value) => `${value >= 0.0995 ? Math.round(100 * value) : ROUGH.format(100 * value)}%`;

/** "1 in 1,000": how rare a rate is. */
export const oneIn = (rate) => `1 in ${count(Number((1 / rate).toPrecision(2)))}`;
