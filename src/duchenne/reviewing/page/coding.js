// Codes of one coder and one recording: changed by keys, undone, and stored at once.

import {ask, send, query} from "./api.js";

const EVERY_MS = 700;
let numbered = 0;

const plain = code => ({kind: code.kind, au: code.au ?? null, onset_s: code.onset_s, offset_s: code.offset_s, intensity: code.intensity, side: code.side, certainty: code.certainty, face: code.face, comment: code.comment, unfinished: code.unfinished, others: code.others});
// `others` is what stands in other columns of the file: it stays with its code, whatever becomes of that.
export const blank = values => ({id: ++numbered, kind: "au", au: null, onset_s: 0, offset_s: 0, intensity: "", side: "", certainty: "", face: null, comment: "", unfinished: false, others: {}, ...values});

export class Coding extends EventTarget {
  constructor() {
    super();
    Object.assign(this, {codes: [], shared: [], open: [], past: [], future: [], selected: null, mark: null, saving: false, waiting: false, state: "", why: "", key: null, coder: null, asked: null, changes: 0});
    // What is open while it plays has an offset that moves; it is stored along, so that nothing is lost if all ends here.
    setInterval(() => { if (this.open.length) this.store(); }, EVERY_MS);
    addEventListener("beforeunload", event => { if (this.state === "not saved") event.preventDefault(); });
  }

  // Before anything else is shown: what is open ends here for now, and all is stored. Throws where that is not possible.
  async leave() {
    if (this.open.length || this.state === "not saved") {
      this.codes = [...this.codes, ...this.open]; this.open = [];
      this.changed(); this.store();
    }
    if (this.saving) await new Promise(done => this.addEventListener("settled", done, {once: true}));
    if (this.state === "not saved") throw new Error(`not saved: ${this.why} Reload the page to give up what is not saved.`);
  }

  // Whatever is changed until the new codes are there still belongs to the old ones, and is stored with their mark. Ends when
  // the codes that were asked for last are there.
  load(key, coder) { return this.loading = this.fetch(key, coder); }

  async fetch(key, coder) {
    const asked = this.asked = {};
    let found, before;
    do {
      await this.leave();
      before = this.changes;
      found = await ask(`recordings/${key}/codes?${query({coder})}`);
      if (asked !== this.asked) return this.loading;  // something else was chosen in the meantime
    } while (this.saving || this.changes !== before);
    Object.assign(this, {key, coder, mark: found.mark, codes: found.codes.map(blank), shared: found.shared.map(blank), open: [], past: [], future: [], selected: null, unsent: null});
    this.tell("");
    this.changed();
  }

  changed() { this.dispatchEvent(new Event("change")); }
  tell(state, why = "") { this.state = state; this.why = why; this.dispatchEvent(new Event("state")); }
  find(id) { return this.codes.find(code => code.id === id) ?? this.open.find(code => code.id === id) ?? null; }

  // Every change goes through here: what was there before is kept for undo. Changes with one mark, such as a code's onset and
  // its offset right after it, are one step.
  put({codes = this.codes, open = this.open, selected = this.selected}, mark = null) {
    if (mark === null || this.past.at(-1)?.mark !== mark) this.past.push({codes: this.codes, open: this.open, mark});
    this.future = [];
    if (this.past.length > 1000) this.past.shift();
    Object.assign(this, {codes, open, selected});
    this.changed(); this.store();
  }

  undo() { this.turn(this.past, this.future); }
  redo() { this.turn(this.future, this.past); }
  turn(from, to) {
    if (!from.length) return;
    const {codes, open, mark} = from.pop();
    to.push({codes: this.codes, open: this.open, mark});
    Object.assign(this, {codes, open});
    if (!this.find(this.selected)) this.selected = null;
    this.changed(); this.store();
  }

  edit(id, values, mark = null) {
    const old = this.find(id), changed = list => list.map(code => code === old ? {...code, ...values} : code);
    if (!old || Object.entries(values).every(([key, value]) => old[key] === value)) return;
    this.put({codes: changed(this.codes), open: changed(this.open)}, mark);
  }

  remove(id) {
    const others = list => list.filter(code => code.id !== id);
    if (this.find(id)) this.put({codes: others(this.codes), open: others(this.open), selected: null});
  }

  // The number that the next code gets: `prepare` takes no codes of one person with and without. Codes without are those of
  // who is seen largest and longest, from before there was a table; where the table is gone, those with a number go on with
  // it. Undefined where these are about several faces.
  number(face, main) {
    const all = [...this.codes, ...this.open, ...this.shared];
    if (face === main && all.some(code => code.kind === "au" && code.face === null)) return null;
    if (face !== null) return face;
    const [one = null, other] = new Set(all.map(code => code.face).filter(number => number !== null));
    return other === undefined ? one : undefined;
  }

  begin(kind, au, face, time, step) {
    const code = blank({kind, au, face, onset_s: time, offset_s: time + step, unfinished: true});
    this.put({open: [...this.open, code], selected: code.id}, `code ${code.id}`);
  }

  // The frame at the offset is the first without it; only the last frame of the recording belongs to what ends there.
  close(running, time, step, last = false) {
    const [onset_s, offset_s] = time > running.onset_s ? [running.onset_s, last ? time + step : time] : time < running.onset_s ? [time, running.onset_s] : [time, time + step];
    const ended = {...running, onset_s, offset_s, unfinished: false};
    this.put({codes: [...this.codes, ended], open: this.open.filter(code => code !== running), selected: running.id}, `code ${running.id}`);
  }

  // While it plays, what is open reaches to the current frame.
  stretch(time, step) {
    for (const code of this.open) code.offset_s = Math.max(code.onset_s, time) + step;
  }

  everything() { return [...this.codes, ...this.open].map(plain); }

  // One request at a time, always with the latest codes.
  async store() {
    if (this.key === null) { this.tell("not saved", "there is no recording that these codes are about."); return; }
    this.waiting = true; this.changes++;
    if (this.saving) return;
    this.saving = true;
    try {
      while (this.waiting) {
        this.waiting = false;
        const codes = this.everything(), text = JSON.stringify(codes);
        if (text === this.unsent) continue;
        this.tell("saving");
        const {mark} = await send("PUT", `recordings/${this.key}/codes?${query({coder: this.coder})}`, {mark: this.mark, codes});
        this.mark = mark; this.unsent = text;
      }
      this.tell("saved");
    } catch (error) {
      this.tell("not saved", error.message);
      if (error.status === undefined) setTimeout(() => { if (this.state === "not saved") this.store(); }, 1000);  // the server is not there
    } finally { this.saving = false; this.dispatchEvent(new Event("settled")); }
  }
}
