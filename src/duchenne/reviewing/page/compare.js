// Two codings beside each other: numbers, and the stretches in which they differ, one after the other.

import {$, ask, element, note, query} from "./api.js";
import {clock} from "./curves.js";

const COLUMNS = ["frames", "kappa", "ac1", "f1", "icc_absolute", "correlation", "auc"];
const shown = (value, name) => value === null ? "–" : name === "frames" ? String(value) : value.toFixed(2);

export class Compare {
  constructor(app) {
    Object.assign(this, {app, differences: [], place: -1, timer: null});
    for (const id of ["first", "second", "all-recordings"]) $(id).addEventListener("change", () => this.refresh());
    $("difference-back").addEventListener("click", () => this.go(-1));
    $("difference-on").addEventListener("click", () => this.go(1));
  }

  // Who can be compared: coders, the table, the fitted detector.
  offer(anew = false) {
    const {state, info} = this.app, mine = this.app.coding.coder, names = [...new Set([...state.coders, mine])].filter(name => name);
    const options = [...names.map(name => ["coder:" + name, name]), ["table", "the table"], ...(info?.fitted ? [["fitted", "your fitted detector"]] : [])];
    for (const id of ["first", "second"]) {
      const before = anew ? "" : $(id).value;
      $(id).replaceChildren(...options.map(([value, text]) => element("option", {value}, text)));
      $(id).value = options.some(([value]) => value === before) ? before : id === "first" ? "coder:" + mine : "table";
      if (!$(id).value) $(id).selectedIndex = 0;
    }
    if (!$("panel-compare").hidden) this.refresh();
  }

  later() {
    clearTimeout(this.timer);
    if (!$("panel-compare").hidden) this.timer = setTimeout(() => this.refresh(), 250);
  }

  async refresh() {
    const first = $("first").value, second = $("second").value;
    const recording = $("all-recordings").checked ? undefined : this.app.key;
    try {
      if (first === second) throw new Error("Choose two that differ.");
      const found = await ask("compare?" + query({first, second, recording}));
      if (first !== $("first").value || second !== $("second").value) return;
      this.show(found);
      note($("compare-note"), found.notes.join(" "));
    } catch (error) { this.show({rows: [], differences: []}); note($("compare-note"), error.message); }
  }

  show({rows, differences}) {
    $("agreement").tBodies[0].replaceChildren(...rows.map(row => element("tr", {title: row.name}, element("td", {}, row.au), ...COLUMNS.map(name => element("td", {"data-name": name}, shown(row[name], name))))));
    this.differences = differences;
    if (this.place >= differences.length) this.place = -1;
    const who = {first: $("first").selectedOptions[0]?.textContent, second: $("second").selectedOptions[0]?.textContent};
    $("differences").tBodies[0].replaceChildren(...differences.map((one, place) => element("tr", {class: "go", onclick: () => this.at(place)}, element("td", {}, element("button", {}, one.au)), element("td", {}, clock(one.onset_s, .01)), element("td", {}, clock(one.offset_s, .01)), element("td", {}, who[one.who] ?? one.who))));
    this.count();
  }

  count() {
    $("difference-count").textContent = this.differences.length ? `${this.place + 1 || "–"} of ${this.differences.length}` : "none";
    [...$("differences").tBodies[0].rows].forEach((row, place) => row.setAttribute("aria-current", String(place === this.place)));
  }

  go(turn) {
    if (this.differences.length) this.at((this.place + turn + this.differences.length) % this.differences.length);
  }

  async at(place) {
    this.place = place;
    const one = this.differences[place];
    this.count();
    $("differences").tBodies[0].rows[place]?.scrollIntoView({block: "nearest"});
    const face = /^\d+$/.test(one.face) && this.app.info.table?.faces.some(known => known.number === Number(one.face)) ? Number(one.face) : undefined;
    await this.app.open(one.key, one.onset_s, face);
    const margin = Math.max(1, one.offset_s - one.onset_s);
    this.app.curves.look(one.onset_s - margin, one.offset_s + margin);
  }
}
