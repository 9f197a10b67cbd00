// Requests to the server that this page came from; every path is relative to the address with the token.

const failed = async response => {
  let sentence = response.statusText;
  try { sentence = (await response.clone().json()).error ?? sentence; } catch { sentence = (await response.text()) || sentence; }
  const error = new Error(sentence);
  error.status = response.status;
  return error;
};

export const query = values => new URLSearchParams(Object.entries(values).filter(([, value]) => value !== undefined)).toString();

export async function ask(path, options = {}) {
  const response = await fetch("api/" + path, {cache: "no-store", ...options});
  if (!response.ok) throw await failed(response);
  return response.json();
}

export const send = (method, path, body) =>
  ask(path, {method, headers: {"content-type": "application/json"}, body: JSON.stringify(body)});

const KINDS = {f8: Float64Array, f4: Float32Array, i4: Int32Array, u1: Uint8Array};

// Arrays by name: a length, what lies where as JSON, the numbers.
export async function numbers(key, of, face) {
  const response = await fetch(`api/recordings/${key}/numbers?${query({of, face})}`, {cache: "no-store"});
  if (!response.ok) throw await failed(response);
  const buffer = await response.arrayBuffer();
  const head = Number(new DataView(buffer).getBigUint64(0, true));
  const described = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, head)));
  return Object.fromEntries(described.map(one => [one.name, new KINDS[one.type](buffer, 8 + head + one.at, one.length)]));
}

// Arrays of a table with other frames: every frame takes the value of the last one at or before it.
export function onto(times, found) {
  if (found.time.length === times.length && found.time.every((value, i) => value === times[i])) return found;
  const taken = Object.fromEntries(Object.entries(found).filter(([name]) => name.startsWith("AU")).map(([name, values]) => [name, new values.constructor(times.length).fill(name.endsWith("_c") ? 255 : NaN)]));
  for (let i = 0, from = 0; i < times.length; i++) {
    while (from + 1 < found.time.length && found.time[from + 1] <= times[i] + 1e-6) from++;
    if (found.time[from] <= times[i] + 1e-6) for (const name in taken) taken[name][i] = found[name][from];
  }
  return taken;
}

export const element = (name, attributes = {}, ...children) => {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== undefined && value !== null && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter(child => child !== null && child !== undefined));
  return made;
};

export const $ = id => document.getElementById(id);
export const au = number => "AU" + String(number).padStart(2, "0");
export const note = (place, text) => { place.textContent = text ?? ""; place.hidden = !text; };
