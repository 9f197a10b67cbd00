// The coding panel: what a key or a click does to the codes, their list, and the fields of the one that is selected.

import {$, au, element, note} from "./api.js";
import {clock} from "./curves.js";
import {blank} from "./coding.js";

const LETTERS = ["A", "B", "C", "D", "E"], WORDS = ["trace", "slight", "marked", "severe", "maximum"];
const inOrder = (a, b) => a.onset_s - b.onset_s || (a.au ?? 0) - (b.au ?? 0);
const word = code => code.kind === "au" ? au(code.au) : code.au !== null ? `${au(code.au)} cannot be judged` : {coded: "coded range", unknown: "cannot be judged", none: "nobody moves"}[code.kind];

export class Panel {
  constructor(app) {
    Object.assign(this, {app, shown: null});  // `shown`: whose fields these are
    const {coding} = app, click = (id, then) => $(id).addEventListener("click", then);
    click("undo", () => coding.undo()); click("redo", () => coding.redo());
    for (const kind of ["coded", "unknown", "none"]) click("mark-" + kind, () => this.press(kind));
    click("set-onset", () => this.boundary("onset_s")); click("set-offset", () => this.boundary("offset_s"));
    click("remove", () => coding.remove(coding.selected));
    // Stored while it is typed, and into the code for which that began: a click may select another before the field is left.
    $("comment").addEventListener("input", () => coding.edit(this.shown, {comment: $("comment").value}, `comment ${this.shown}`));
    coding.addEventListener("change", () => this.show());
    this.choices();
  }

  get chosen() { return this.app.coding.find(this.app.coding.selected); }
  get frameEnd() { return this.app.player.end(this.app.player.index) - this.app.player.time; }

  // Codes without a face are shown with every face, and without a table all codes are.
  own(code) { return code.face === null || this.app.face === null || code.face === this.app.face; }

  // A key ends what is open of its kind for the face that is shown, else it begins that; N says and unsays.
  press(kind, number = null) {
    const {app, app: {coding, player}} = this;
    if (!app.canCode() || !this.named()) return;
    const fits = code => code.kind === kind && code.au === number && this.own(code);
    const running = coding.open.find(fits), there = coding.codes.find(fits), face = coding.number(app.face, app.main);
    if (running) coding.close(running, player.time, this.frameEnd, player.index === player.last);
    else if (face === undefined) app.say("several faces have codes here, and without a table nobody knows whose this is; find faces and action units first", true);
    else if (kind !== "none") coding.begin(kind, number, face, player.time, this.frameEnd);
    else if (there) coding.remove(there.id);
    else if (coding.codes.some(code => code.kind === "au" && this.own(code))) app.say("this face has codes, so it does move", true);
    else coding.put({codes: [...coding.codes, blank({kind, face})]});
  }

  toggle(number) {
    this.app.row = number;
    this.press("au", number);
  }

  named() {
    const {app} = this, name = $("coder").value.trim();
    if (name && name === app.coding.coder) return true;
    if (name) { app.say(`the codes of ${name} are not there yet; press again`, true); return false; }  // it would be of the coder before
    app.say("write your name above first: codes belong to their coder", true);
    $("coder").focus();
    return false;
  }

  grade(index) {
    const code = this.chosen;
    if (code?.kind === "au" && this.app.canCode()) this.app.coding.edit(code.id, {intensity: code.intensity === LETTERS[index] ? "" : LETTERS[index]});
  }

  boundary(name) {
    const {app, app: {coding, player}, chosen: code} = this, {time} = player;
    if (!code || code.kind === "none" || !app.canCode()) return;
    if (name === "onset_s" && time < code.offset_s) coding.edit(code.id, {onset_s: time});
    else if (name === "offset_s" && time > code.onset_s) {
      const last = player.index === player.last;
      if (coding.open.includes(code)) coding.close(code, time, this.frameEnd, last);
      else coding.edit(code.id, {offset_s: last ? time + this.frameEnd : time, unfinished: false});
    }
    else app.say(name === "onset_s" ? "the onset must lie before the offset" : "the offset must lie behind the onset", true);
  }

  choices() {
    const set = (field, value) => { const code = this.chosen; if (code) this.app.coding.edit(code.id, {[field]: code[field] === value ? "" : value}); };
    const radio = (place, options, field) => $(place).replaceChildren(...options.map(([value, text, title]) => element("button", {role: "radio", "data-value": value, "aria-label": title, title, onclick: () => set(field, value)}, text)));
    radio("intensity", LETTERS.map((letter, i) => [letter, letter, `intensity ${letter}, ${WORDS[i]} (Shift+${i + 1})`]), "intensity");
    radio("side-choice", [["L", "left", "left side of the face (B)"], ["R", "right", "right side of the face (B)"], ["B", "both", "both sides (B)"]], "side");
    radio("certainty", [["certain", "sure", "certain (U)"], ["uncertain", "unsure", "uncertain (U)"]], "certainty");
  }

  select(id) {
    this.app.coding.selected = id;
    this.app.coding.changed();
  }

  // The code before or after the selected one.
  walk(turn) {
    const {coding} = this.app, rows = coding.codes.filter(code => code.kind !== "none").sort(inOrder);
    if (!rows.length) return;
    const place = rows.findIndex(code => code.id === coding.selected);
    const next = rows[place < 0 ? (turn > 0 ? 0 : rows.length - 1) : Math.min(Math.max(place + turn, 0), rows.length - 1)];
    this.visit(next);
  }

  // Selects a code, goes to its onset, and shows whose it is: curves and boxes of somebody else would be taken for it.
  visit(code) {
    const {app} = this, isKnown = $("faces").querySelector(`[data-face="${code.face}"]`) !== null;
    this.select(code.id);
    app.open(app.key, code.kind === "none" ? undefined : code.onset_s, isKnown ? code.face : undefined);
  }

  show() {
    const {coding, curves, player} = this.app, own = code => this.own(code);
    if (coding.open.length) coding.stretch(player.time, this.frameEnd);  // undo may have brought back what was open at another frame
    curves.codes = [...coding.codes, ...coding.shared].filter(own); curves.open = coding.open.filter(own); curves.selected = coding.selected;
    curves.paint();
    this.list();
    this.fields();
    for (const button of $("names").querySelectorAll("[data-au]")) button.setAttribute("aria-pressed", String(coding.open.some(one => one.au === Number(button.dataset.au) && own(one))));
    for (const kind of ["coded", "unknown"]) $("mark-" + kind).setAttribute("aria-pressed", String(coding.open.some(one => one.kind === kind && own(one))));
    $("undo").disabled = !coding.past.length; $("redo").disabled = !coding.future.length;
    const all = [...coding.codes, ...coding.open, ...coding.shared], ranges = all.filter(one => one.kind === "coded").map(one => one.face);
    const everything = all.some(one => one.kind === "au" && !ranges.includes(one.face) && !ranges.includes(null));
    note($("coded-note"), everything ? "A face with codes has no coded range yet: all of this recording counts as coded for it, and whatever has no code as absent. Mark what you have looked at (C)." : "");
  }

  list() {
    const {coding} = this.app, rows = [...coding.open, ...coding.codes].sort(inOrder), isOpen = code => coding.open.includes(code);
    $("codes").tBodies[0].replaceChildren(...rows.map(code => element("tr", {class: "go", "aria-current": String(code.id === coding.selected), onclick: () => this.visit(code)},
      element("td", {}, element("button", {"data-code": code.id}, word(code) + (isOpen(code) ? " …" : code.unfinished ? " (offset not set)" : ""))),
      element("td", {}, code.kind === "none" ? "" : clock(code.onset_s, .01)), element("td", {}, code.kind === "none" || isOpen(code) ? "" : clock(code.offset_s, .01)),
      element("td", {}, [code.intensity, code.side, code.certainty === "uncertain" ? "?" : ""].filter(Boolean).join(" ")), element("td", {}, code.face ?? ""))));
  }

  fields() {
    const code = this.chosen;
    $("selected").hidden = !code || code.kind === "none";
    if (!code) return;
    $("selected-title").textContent = `${word(code)}, ${clock(code.onset_s, .001)} to ${clock(code.offset_s, .001)}`;
    for (const [place, field] of [["intensity", "intensity"], ["side-choice", "side"], ["certainty", "certainty"]])
      for (const button of $(place).children) { button.setAttribute("aria-checked", String(code[field] === button.dataset.value)); button.disabled = code.kind !== "au"; }
    if (this.shown !== code.id || document.activeElement !== $("comment")) $("comment").value = code.comment;
    this.shown = code.id;
  }
}
