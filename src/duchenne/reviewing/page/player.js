// The recording: which frame is shown, and boxes on it. Frames are those of the table, by its time stamps.

const TOOK = 5, SLOW_MS = 200;

export class Player extends EventTarget {
  constructor(video, overlay, picture, frame) {
    super();
    Object.assign(this, {video, overlay, picture, frame, index: 0, shown: -1, wanted: null, aim: null, tries: 0, loop: null, zoomed: false, took: [], media: 0});
    this.times = new Float64Array(0);
    this.boxes = new Map();
    this.shift = 0;  // what the browser's clock says where the table's says 0
    this.ready = false;
    video.addEventListener("error", () => this.dispatchEvent(new Event("trouble")));
    for (const name of ["play", "pause"]) video.addEventListener(name, () => this.dispatchEvent(new Event("state")));
    video.addEventListener("seeked", () => this.seekOn());
    video.addEventListener("ended", () => { if (this.loop) { this.seek(this.loop[0]); this.play(); } });
    new ResizeObserver(() => this.layout()).observe(frame);
  }

  open(address, info) {
    Object.assign(this, {info, ready: false, wanted: null, aim: null, seeking: false, loop: null, index: 0, shown: -1, face: null, took: []});
    this.times = new Float64Array(0);
    this.boxes = new Map();
    this.video.src = address;
    this.video.load();
    this.layout();
    const opened = this.video.src;
    const present = (now, meta) => {
      if (this.video.src !== opened) return;
      if (!this.ready) {  // the first picture is known to both clocks
        this.ready = true;
        this.shift = meta.mediaTime - info.first_s;
        this.dispatchEvent(new Event("ready"));
        if (this.wanted !== null) this.seek(this.wanted);
      }
      this.present(this.media = meta.mediaTime);
      this.video.requestVideoFrameCallback(present);
    };
    this.video.requestVideoFrameCallback(present);
  }

  // A new time line: times of the frames, and boxes (4 numbers per frame) by face.
  use(times, boxes) {
    Object.assign(this, {times, boxes});
    if (this.ready) this.present(this.media); else this.dispatchEvent(new Event("frame"));
  }

  get last() { return Math.max(0, this.times.length - 1); }
  get time() { return this.times[this.index] ?? 0; }
  step() { return this.times.length > 1 ? (this.times[this.last] - this.times[0]) / this.last : 1 / this.info.rate; }
  end(index) { return index < this.last ? this.times[index + 1] : this.times[this.last] + this.step(); }

  // The last frame that begins at or before a time.
  at(time) {
    let low = 0, high = this.last;
    while (low < high) { const mid = (low + high + 1) >> 1; if (this.times[mid] <= time) low = mid; else high = mid - 1; }
    return low;
  }

  present(mediaTime) {
    if (!this.times.length) return;
    const time = mediaTime - this.shift + .0005, before = time < this.times[0], outside = before || time >= this.end(this.last);
    const index = outside ? -1 : this.at(time), sought = this.aim !== null;
    this.shown = index;
    if (index === this.aim) this.arrived();
    if (!this.seeking) {
      if (!outside && (this.aim === null || index === this.aim)) this.index = index;
      this.check(outside);
    }
    if (this.loop && !this.video.paused && !this.seeking && (index >= this.loop[1] || index < this.loop[0])) this.seek(this.loop[0]);
    else if (outside && !sought && !this.seeking) this.turnBack(before);
    this.draw();
    this.dispatchEvent(new Event("frame"));
  }

  // A table may be of a part of the recording. What lies outside has no frames, so playing stays within.
  turnBack(before) {
    if (!before) this.pause();
    this.seek(before ? 0 : this.last);
  }

  // Goes to a frame: a quarter of a frame behind its beginning, so that rounding shows no other.
  seek(index) {
    index = Math.min(Math.max(Math.round(index), 0), this.last);
    this.index = index;
    this.wanted = index;
    this.dispatchEvent(new Event("frame"));
    if (!this.ready || !this.times.length || this.seeking) return;
    this.wanted = null;
    this.tries = 0;
    this.go(index, Math.min(this.end(index) - this.times[index], 1 / this.info.rate) / 4);
  }

  // Where pictures take long to come, the recording has few keyframes: whoever shows it can offer a copy with more.
  arrived() {
    if (this.began === null) return;
    this.took = [...this.took.slice(1 - TOOK), performance.now() - this.began];
    this.began = null;
    if (this.took.length === TOOK && [...this.took].sort((a, b) => a - b)[TOOK >> 1] > SLOW_MS) this.dispatchEvent(new Event("slow"));
  }

  go(index, inside) {
    this.seeking = true;
    this.aim = index;
    this.began = this.video.paused && index !== this.shown ? performance.now() : null;
    this.video.currentTime = this.times[index] + inside + this.shift;
  }

  seekOn() {
    this.seeking = false;
    clearTimeout(this.waiting);
    if (this.wanted !== null && this.wanted !== this.aim) this.seek(this.wanted);
    else if (this.aim === this.shown) this.check();
    else this.waiting = setTimeout(() => this.check(true), 300);  // no picture has come: it may be the same
  }

  // Whether the picture is the one that was sought. Where a file does not say how long frames last, browsers guess, and
  // show the one before: then a later moment of the frame is sought.
  check(late = false) {
    if (this.aim === null || this.seeking || !this.video.paused) { this.aim = null; return; }
    clearTimeout(this.waiting);
    if (this.shown !== this.aim && this.tries < 3 && (late || this.shown >= 0)) {
      const lasts = this.end(this.aim) - this.times[this.aim], later = this.shown < this.aim;
      this.tries += 1;
      this.go(this.aim, lasts * (later ? [.5, .75, .95][this.tries - 1] : .02));
      return;
    }
    this.index = this.shown >= 0 ? this.shown : this.index;
    this.aim = null;
    this.dispatchEvent(new Event("frame"));
  }

  play() {
    if (this.index === this.last) this.seek(this.loop ? this.loop[0] : 0);
    return this.video.play().catch(() => {});
  }
  pause() { this.video.pause(); }
  toggle() { if (this.video.paused) this.play(); else this.pause(); }

  layout() {
    if (!this.info) return;
    const room = this.frame.getBoundingClientRect(), fit = Math.min(room.width / this.info.width, room.height / this.info.height);
    this.size = [this.info.width * fit, this.info.height * fit];
    this.fit = fit;
    this.place = [(room.width - this.size[0]) / 2, (room.height - this.size[1]) / 2];
    Object.assign(this.picture.style, {width: this.size[0] + "px", height: this.size[1] + "px"});
    const ratio = window.devicePixelRatio || 1;
    this.overlay.width = Math.max(1, this.size[0] * ratio); this.overlay.height = Math.max(1, this.size[1] * ratio);
    this.near = null;
    this.draw();
  }

  box(face, index = this.shown) {
    const found = this.boxes.get(face);
    if (!found || index < 0 || Number.isNaN(found[4 * index])) return null;
    return found.subarray(4 * index, 4 * index + 4);
  }

  draw() {
    if (!this.info || !this.size) return;
    const own = this.box(this.face);
    if (this.zoomed && own) {  // follows the face slowly, so that what moves is the face and not the window
      const aim = [own[0] + own[2] / 2, own[1] + own[3] / 2, Math.max(own[2], own[3])];
      this.near = this.near ? this.near.map((value, at) => value + (aim[at] - value) * (this.video.paused ? 1 : .15)) : aim;
    }
    const room = this.frame.getBoundingClientRect();
    let scale = 1, [left, top] = this.place;
    if (this.zoomed && this.near) {
      scale = Math.max(1, Math.min(room.width, room.height) / (1.7 * this.near[2] * this.fit));
      left = room.width / 2 - this.near[0] * this.fit * scale;
      top = room.height / 2 - this.near[1] * this.fit * scale;
    }
    this.picture.style.transform = `translate(${left}px, ${top}px) scale(${scale})`;
    const pen = this.overlay.getContext("2d"), unit = this.overlay.width / this.info.width;
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.clearRect(0, 0, this.overlay.width, this.overlay.height);
    if (!this.ready || this.shown < 0) return;
    for (const face of this.boxes.keys()) {
      const box = this.box(face);
      if (!box) continue;
      const chosen = face === this.face;
      pen.lineWidth = (chosen ? 2.5 : 1.2) * (window.devicePixelRatio || 1) / scale;
      pen.strokeStyle = chosen ? "#ffd54a" : "#ffffffb0";
      pen.strokeRect(box[0] * unit, box[1] * unit, box[2] * unit, box[3] * unit);
      pen.font = `${14 * (window.devicePixelRatio || 1) / scale}px system-ui, sans-serif`;
      pen.fillStyle = pen.strokeStyle; pen.textBaseline = "bottom";
      pen.fillText(String(face), box[0] * unit, box[1] * unit - 2);
    }
  }
}

// A picture of each face, from the frame in which it is seen best; taken by a second player, so that nothing jumps.
export async function portraits(address, info, faces, times, boxes, shift, paint) {
  const video = document.createElement("video");
  Object.assign(video, {muted: true, preload: "auto", src: address});
  const once = name => new Promise((done, stop) => { video.addEventListener(name, done, {once: true}); video.addEventListener("error", stop, {once: true}); });
  try {
    await once("loadeddata");
    for (const face of faces) {
      const arrived = once("seeked");
      video.currentTime = times[face.best] + .25 / info.rate + shift;
      await arrived;
      const box = boxes.get(face.number)?.subarray(4 * face.best, 4 * face.best + 4);
      if (!box || Number.isNaN(box[0])) continue;
      const scale = video.videoWidth / info.width, side = 1.15 * Math.max(box[2], box[3]);
      paint(face.number, video, [(box[0] + box[2] / 2 - side / 2) * scale, (box[1] + box[3] / 2 - side / 2) * scale, side * scale]);
    }
  } catch { /* without a picture the number says who it is */ } finally { video.removeAttribute("src"); video.load(); }
}
