// The curves under the recording: painted once per view and kept; what moves while it plays is the cursor alone.
// Where many frames share a pixel their lowest and highest value are drawn, from blocks that are summed up once.

export const ROW = 40, AXIS = 26;
const BLOCK = 64;

// Lowest and highest value of every 64 frames; NaN where none is known.
export function blocks(values) {
  const number = Math.ceil(values.length / BLOCK), low = new Float32Array(number), high = new Float32Array(number);
  for (let block = 0; block < number; block++) {
    let least = NaN, most = NaN;
    for (let i = block * BLOCK; i < Math.min(values.length, (block + 1) * BLOCK); i++) {
      const value = values[i];
      if (Number.isNaN(value)) continue;
      if (!(least <= value)) least = value;
      if (!(most >= value)) most = value;
    }
    low[block] = least; high[block] = most;
  }
  return {low, high};
}

export class Curves extends EventTarget {
  constructor(player, plot, curves, cursor, scroller) {
    super();
    Object.assign(this, {player, plot, curves, cursor, scroller, rows: [], series: new Map(), codes: [], selected: null, open: []});
    this.view = [0, 1];
    this.width = 100;
    this.listen();
    new ResizeObserver(() => { this.measure(); this.paint(); }).observe(plot);
    scroller.addEventListener("scroll", () => this.move());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.paint());
  }

  // Rows from top to bottom: {kind: "coded"} or {au}; series: AU -> [{values, low, full, colour, decided}].
  show(rows, series) {
    this.rows = rows;
    this.series = series;
    for (const own of series.values()) for (const one of own) one.blocks ??= blocks(one.values);
    this.measure();
    this.paint();
  }

  get whole() {
    const {times} = this.player;
    return times.length ? [times[0], this.player.end(this.player.last)] : [0, 1];
  }

  x(time) { return (time - this.view[0]) / (this.view[1] - this.view[0]) * this.width; }
  timeAt(px) { return this.view[0] + px / this.width * (this.view[1] - this.view[0]); }

  measure() {
    const ratio = window.devicePixelRatio || 1;
    this.width = Math.max(1, this.plot.clientWidth);
    this.height = AXIS + this.rows.length * ROW;
    this.plot.style.height = this.height + "px";
    for (const canvas of [this.curves, this.cursor]) {
      canvas.width = this.width * ratio; canvas.height = this.height * ratio;
      Object.assign(canvas.style, {width: this.width + "px", height: this.height + "px"});
    }
  }

  look(from, to) {
    const [start, stop] = this.whole, all = stop - start;
    const span = Math.min(Math.max(to - from, Math.min(6 * this.player.step(), all)), all);
    const begin = Math.min(Math.max((from + to - span) / 2, start), stop - span);
    this.view = [begin, begin + span];
    this.paint();
  }

  // The stretch of presence around the current frame, of one row first, else of any that has one here.
  episode(row) {
    const {index, last, times} = this.player;
    for (const number of [row, ...this.series.keys()]) for (const {decided} of this.series.get(number) ?? []) {
      if (decided?.[index] !== 1) continue;
      let [from, to] = [index, index];
      while (from > 0 && decided[from - 1] === 1) from--;
      while (to < last && decided[to + 1] === 1) to++;
      return [times[from], this.player.end(to)];
    }
    return null;
  }

  zoom(factor, around = this.player.time) {
    const [from, to] = this.view, centre = around >= from && around <= to ? around : (from + to) / 2;
    this.look(centre - (centre - from) * factor, centre + (to - centre) * factor);
  }

  ink() {
    const style = getComputedStyle(document.documentElement);
    return Object.fromEntries(["text", "soft", "line", "accent", "second", "code", "card", "stripe"].map(name => [name, style.getPropertyValue("--" + name).trim()]));
  }

  paint() {
    if (!this.rows.length) return;
    const pen = this.curves.getContext("2d"), ratio = window.devicePixelRatio || 1, ink = this.ink(), began = performance.now();
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, this.width, this.height);
    this.rows.forEach((row, place) => {
      const top = AXIS + place * ROW;
      if (place % 2) { pen.fillStyle = ink.stripe; pen.fillRect(0, top, this.width, ROW); }
      if (row.au === undefined) return;
      for (const one of this.series.get(row.au) ?? []) this.curve(pen, one, top, ink);
    });
    this.bars(pen, ink);
    this.painted = performance.now() - began;
    this.move();
  }

  curve(pen, one, top, ink) {
    const {times} = this.player, first = Math.max(0, this.player.at(this.view[0]) - 1), end = Math.min(this.player.last, this.player.at(this.view[1]) + 1);
    const ground = top + ROW - 5, tall = ROW - 17, span = one.full - one.low || 1;
    const y = value => ground - (Math.min(Math.max(value, one.low), one.full) - one.low) / span * tall;
    pen.lineWidth = 1; pen.strokeStyle = ink.line;
    pen.beginPath(); pen.moveTo(0, y(0) + .5); pen.lineTo(this.width, y(0) + .5); pen.stroke();
    if (one.threshold != null) {
      pen.setLineDash([3, 4]); pen.strokeStyle = ink.soft;
      pen.beginPath(); pen.moveTo(0, y(one.threshold)); pen.lineTo(this.width, y(one.threshold)); pen.stroke(); pen.setLineDash([]);
    }
    if (one.decided) {
      pen.fillStyle = ink[one.colour]; pen.globalAlpha = .22;
      let from = -1;
      for (let i = first; i <= end + 1; i++) {
        const on = i <= end && one.decided[i] === 1;
        if (on && from < 0) from = i;
        if (!on && from >= 0) { const left = this.x(times[from]); pen.fillRect(left, top + 11, Math.max(1, this.x(this.player.end(i - 1)) - left), ROW - 15); from = -1; }
      }
      pen.globalAlpha = 1;
    }
    pen.strokeStyle = ink[one.colour]; pen.lineWidth = 1.4; pen.lineJoin = "round";
    pen.beginPath();
    const dense = (end - first) / this.width > 4 * BLOCK;
    let down = false;
    const point = (px, low, high) => {
      if (Number.isNaN(low)) { down = false; return; }
      if (down) pen.lineTo(px, y(low)); else { pen.moveTo(px, y(low)); pen.lineTo(px + .8, y(low)); }
      if (high !== low) pen.lineTo(px, y(high));
      down = true;
    };
    let column = null, low = NaN, high = NaN;
    const take = (px, least, most) => {
      if (px !== column) { if (column !== null) point(column, low, high); column = px; low = least; high = most; return; }
      if (!(low <= least)) low = Number.isNaN(least) ? low : least;
      if (!(high >= most)) high = Number.isNaN(most) ? high : most;
    };
    if (dense) for (let block = Math.floor(first / BLOCK); block <= Math.floor(end / BLOCK); block++) take(Math.round(this.x(times[block * BLOCK])), one.blocks.low[block], one.blocks.high[block]);
    else for (let i = first; i <= end; i++) take(Math.round(2 * this.x(times[i])) / 2, one.values[i], one.values[i]);
    if (column !== null) point(column, low, high);
    pen.stroke();
  }

  bars(pen, ink) {
    for (const code of [...this.codes, ...this.open]) {
      const place = this.rows.findIndex(row => isOn(row, code));
      if (place < 0) continue;
      const top = AXIS + place * ROW;
      const [from, to] = code.kind === "none" ? this.whole : [code.onset_s, code.offset_s];
      if (to < this.view[0] || from > this.view[1]) continue;
      const left = this.x(from), width = Math.max(2, this.x(to) - left);
      pen.fillStyle = code.kind === "unknown" ? ink.soft : ink.code;
      pen.globalAlpha = code.kind === "au" ? .75 : .35;
      if (code.kind === "au") pen.fillRect(left, top + 1, width, 9); else pen.fillRect(left, top + 8, width, ROW - 16);
      pen.globalAlpha = 1;
      if (code.id === this.selected) { pen.strokeStyle = ink.text; pen.lineWidth = 1.5; pen.strokeRect(left - .5, top + .5, width + 1, code.kind === "au" ? 10 : ROW - 8); }
      const word = code.kind === "au" ? code.intensity + (code.side ? " " + code.side : "") + (code.certainty === "uncertain" ? "?" : "") : code.kind === "unknown" ? "cannot be judged" : code.kind === "none" ? "coded: nobody moves" : "coded";
      if (word && width > 8) {
        pen.save(); pen.beginPath(); pen.rect(left, top, width, ROW); pen.clip();
        pen.fillStyle = code.kind === "au" ? ink.card : ink.text; pen.font = (code.kind === "au" ? "700 9px" : "12px") + " system-ui, sans-serif"; pen.textBaseline = "middle"; pen.textAlign = "left";
        pen.fillText(word, left + 3, code.kind === "au" ? top + 6 : top + ROW / 2); pen.restore();
      }
    }
  }

  // The cursor and the axis, which stays in sight.
  move() {
    if (!this.rows.length) return;
    const pen = this.cursor.getContext("2d"), ratio = window.devicePixelRatio || 1, ink = this.ink(), time = this.player.time;
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, this.width, this.height);
    const top = this.scroller.scrollTop;
    pen.fillStyle = ink.card; pen.fillRect(0, top, this.width, AXIS);
    const span = this.view[1] - this.view[0], steps = [.01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600];
    const gap = steps.find(value => span / value <= this.width / 90) ?? 7200;
    pen.strokeStyle = ink.line; pen.fillStyle = ink.soft; pen.font = "12px system-ui, sans-serif"; pen.textBaseline = "middle"; pen.textAlign = "center"; pen.lineWidth = 1;
    for (let tick = Math.ceil(this.view[0] / gap); tick * gap <= this.view[1]; tick++) {
      const px = this.x(tick * gap);
      pen.beginPath(); pen.moveTo(px, top + AXIS - 5); pen.lineTo(px, top + AXIS); pen.stroke();
      if (px > 14 && px < this.width - 16) pen.fillText(clock(tick * gap, gap), px, top + AXIS / 2 - 2);
    }
    if (this.player.loop) {
      const [from, to] = this.player.loop.map(index => this.x(this.player.times[index] ?? this.whole[1]));
      pen.fillStyle = ink.accent; pen.globalAlpha = .25; pen.fillRect(from, top, Math.max(2, to - from), 5); pen.globalAlpha = 1;
    }
    const px = this.x(time);
    pen.strokeStyle = ink.text; pen.beginPath(); pen.moveTo(px, top); pen.lineTo(px, this.height); pen.stroke();
  }

  follow() {
    const time = this.player.time, [from, to] = this.view;
    if (time < from || time >= to) this.look(time - .1 * (to - from), time + .9 * (to - from)); else this.move();
  }

  // The code drawn at a point of the plot; null where there is none.
  hit(px, py) {
    const row = this.rows[Math.floor((py - AXIS) / ROW)], time = this.timeAt(px), slack = 3 / this.width * (this.view[1] - this.view[0]);
    if (!row) return null;
    const own = this.codes.filter(code => isOn(row, code) && code.kind !== "none" && code.onset_s - slack <= time && time <= code.offset_s + slack);
    return (py - AXIS) % ROW < 14 || row.kind === "coded" ? own[0] ?? null : null;
  }

  listen() {
    let from = null;
    const place = event => { const box = this.plot.getBoundingClientRect(); return [Math.min(Math.max(event.clientX - box.left, 0), this.width), event.clientY - box.top]; };
    this.plot.addEventListener("pointerdown", event => {
      const [px, py] = place(event), code = this.hit(px, py);
      from = px; this.plot.setPointerCapture(event.pointerId);
      if (code) this.dispatchEvent(new CustomEvent("pick", {detail: code}));
      if (!event.shiftKey) this.player.seek(this.player.at(this.timeAt(px)));
    });
    this.plot.addEventListener("pointermove", event => { if (from !== null && !event.shiftKey) this.player.seek(this.player.at(this.timeAt(place(event)[0]))); });
    this.plot.addEventListener("pointerup", event => {
      const px = place(event)[0];
      if (event.shiftKey && from !== null && Math.abs(px - from) > 4) this.look(this.timeAt(Math.min(px, from)), this.timeAt(Math.max(px, from)));
      from = null;
    });
    this.plot.addEventListener("pointercancel", () => { from = null; });
    this.plot.addEventListener("wheel", event => {
      if (!event.ctrlKey && !event.shiftKey) return;
      event.preventDefault();
      this.zoom((event.deltaY || event.deltaX) > 0 ? 1.25 : .8, this.timeAt(place(event)[0]));
    }, {passive: false});
  }
}

// Which row a code is drawn on: that of its action unit, also where this could not be judged.
const isOn = (row, code) => code.au !== null ? row.au === code.au : row.kind === "coded";

export function clock(time, gap = .001) {
  const digits = gap >= 1 ? 0 : gap >= .1 ? 1 : gap >= .01 ? 2 : 3, parts = 10 ** digits, rounded = Math.round(time * parts);
  const minutes = Math.floor(rounded / (60 * parts));
  return minutes + ":" + (rounded / parts - 60 * minutes).toFixed(digits).padStart(digits ? 3 + digits : 2, "0");
}
