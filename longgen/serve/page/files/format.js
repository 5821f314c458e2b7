// Numbers as people read them.

export const count = (number) => Math.round(number).toLocaleString("en-US");

export const plural = (number, noun) => `${count(number)} ${noun}${number === 1 ? "" : "s"}`;

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

export function bytes(number) {
  let unit = 0;
  while (number >= 1024 && unit + 1 < UNITS.length) {
    number /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || number >= 100 ? 0 : number >= 10 ? 1 : 2;
  return `${number.toFixed(digits)} ${UNITS[unit]}`;
}

export function seconds(number) {
  if (number < 10) return `${number.toFixed(number < 1 ? 2 : 1)} s`;
  if (number < 90) return `${Math.round(number)} s`;
  return `${Math.floor(number / 60)} min ${Math.round(number % 60)} s`;
}

export const rate = (number) => (number > 0 && number < 100 ? number.toFixed(1) : count(number));

export const percent = (part, whole) => `${((100 * part) / whole).toFixed(0)}%`;
